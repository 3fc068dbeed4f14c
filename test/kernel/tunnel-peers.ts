/**
 * What the tests of the subcommands about tunnels share: two ends, and policies between them.
 * @module
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { env, program } from './command.ts';
import { ip, words } from './support.ts';

export const HERE = '192.0.2.1';
export const FAR = '198.51.100.7';

/** Gives this host, or a namespace, the address of its end. */
export function addHere(...netns: string[]): void {
  ip(...netns, 'link', 'set', 'lo', 'up');
  ip(...netns, 'address', 'replace', `${HERE}/32`, 'dev', 'lo');
}
export const deleteHere = () => ip('address', 'delete', `${HERE}/32`, 'dev', 'lo');

/** The policies of a tunnel to a peer. */
export function addPolicies(reqid: number, peer = FAR): void {
  const inner = ['10.0.0.0/16', `10.${reqid}.0.0/16`];
  for (const [dir, ends, nets] of [
    ['out', [HERE, peer], inner],
    ['in', [peer, HERE], inner.toReversed()],
  ] as const) {
    const selector = `src ${nets[0]} dst ${nets[1]} dir ${dir}`;
    const template = `tmpl src ${ends[0]} dst ${ends[1]} proto esp reqid ${reqid} mode tunnel`;
    ip(...words(`xfrm policy add ${selector} ${template}`));
  }
}
export const flush = () => ip('xfrm', 'policy', 'flush');

export const TITLE = `${HERE} > ${FAR} reqid 7`;
export const lines = (text: string) => text.trimEnd().split('\n');

/** Runs it in the background. @returns its exit status and output */
export async function begin(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [program, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  const [status] = await once(child, 'close');
  return `${status} ${out}`;
}
