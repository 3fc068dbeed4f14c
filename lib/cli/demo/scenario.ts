/**
 * The demo's scenario: the life of a tunnel, from its SAs to a flush, watched on both hosts.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { release } from 'node:os';
import { createInterface } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import type { Host } from '../../testing/host.ts';
import { LEFT, RIGHT, twoHosts } from '../../testing/topologies.ts';

/** Milliseconds after which an expected event counts as missing. */
const PATIENCE = 120_000;

const say = (text: string) => process.stdout.write(`${text}\n`);

/** `netlink-xfrm monitor` on a host: its output lines, counted by kind. */
class Watch {
  readonly host: Host;
  readonly expected = new Map<string, number>();
  readonly #child: ChildProcess;
  readonly #seen = new Map<string, number>();
  #changed = () => {};
  #summary = '';

  constructor(program: string, host: Host) {
    this.host = host;
    const color = pc.isColorSupported ? 'always' : 'never';
    const groups = ['sa', 'expire', 'policy'];
    const line = host.command(process.execPath, program, 'monitor', ...groups, '--color', color);
    this.#child = spawn(...line, { stdio: ['ignore', 'pipe', 'pipe'] });
    createInterface(this.#child.stdout as NodeJS.ReadableStream).on('line', (text) => {
      say(`${pc.bold(host.name.padEnd(5))} ${text}`);
      const kind = stripVTControlCharacters(text).split(/\s+/)[1] ?? '';
      this.#seen.set(kind, (this.#seen.get(kind) ?? 0) + 1);
      this.#changed();
    });
    createInterface(this.#child.stderr as NodeJS.ReadableStream).on('line', (text) => {
      this.#summary = text;
      this.#changed();
    });
  }

  /** Resolves when the monitor has joined its groups. */
  listening(): Promise<void> {
    return this.#until('the monitor to listen', () => this.#summary.startsWith('listening'));
  }

  /** Announces the events that are about to happen on this host, for {@link settled} to wait for. */
  expect(kinds: Readonly<Record<string, number>>): void {
    for (const [kind, count] of Object.entries(kinds)) {
      this.expected.set(kind, (this.expected.get(kind) ?? 0) + count);
    }
  }

  /** Resolves when all expected events have been printed. */
  async settled(): Promise<void> {
    for (const [kind, count] of this.expected) {
      await this.#until(`${kind} on ${this.host.name}`, () => (this.#seen.get(kind) ?? 0) >= count);
    }
  }

  /** Ends the monitor; returns whether it printed exactly the expected events. */
  async end(): Promise<boolean> {
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGINT');
    await closed;
    const kinds = new Set([...this.expected.keys(), ...this.#seen.keys()]);
    const wrong = [...kinds].filter((kind) => this.expected.get(kind) !== this.#seen.get(kind));
    const caused = [...this.expected.values()].reduce((all, count) => all + count, 0);
    say(`${pc.bold(this.host.name.padEnd(5))} ${caused} caused; announced: ${this.#summary}`);
    for (const kind of wrong) {
      const [caused, seen] = [this.expected.get(kind) ?? 0, this.#seen.get(kind) ?? 0];
      say(pc.red(`${this.host.name}: ${kind} ${seen} times instead of ${caused}`));
    }
    return wrong.length === 0;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(
          new Error(
            `timed out after ${PATIENCE / 1000} s waiting for ${what}; the monitor printed: ${this.#summary}`,
          ),
        );
      }, PATIENCE);
      this.#changed = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#changed = () => {};
        resolve();
      };
      this.#changed();
    });
  }
}

const [left, right] = [LEFT.address, RIGHT.address];
const GCM = 'aead rfc4106(gcm(aes)) 0x0001020304050607080910111213141516171819 128';
const toRight = `src ${left} dst ${right}`;
const toLeft = `src ${right} dst ${left}`;
const out = (spi: number) => `${toRight} proto esp spi ${spi} reqid 1 mode tunnel ${GCM}`;
const back = (spi: number) => `${toLeft} proto esp spi ${spi} reqid 1 mode tunnel ${GCM}`;

/**
 * Runs the scenario in this network namespace and prints it.
 *
 * @param program the path of the command netlink-xfrm
 * @returns the exit status: 0 if the monitors saw exactly the expected events
 */
export async function runScenario(program: string): Promise<number> {
  // This namespace is the left host: traffic is sent from here.
  await using hosts = await twoHosts({ left: { here: true } });
  const watches = [new Watch(program, hosts.left), new Watch(program, hosts.right)] as const;
  const [onLeft, onRight] = watches;
  const both = async (line: string) => {
    await hosts.left.ip(line);
    await hosts.right.ip(line);
  };
  const settled = async () => {
    for (const watch of watches) await watch.settled();
  };
  try {
    for (const watch of watches) await watch.listening();
    say(`Linux ${release()}: left ${left} and right ${right}, each with a monitor`);

    say(pc.dim('# a tunnel: two SAs and two policies on each host'));
    for (const watch of watches) watch.expect({ NEWSA: 2, NEWPOLICY: 2 });
    await both(`xfrm state add ${out(0x1001)} limit packet-soft 3 limit time-hard 3600`);
    await both(`xfrm state add ${back(0x2001)} limit time-hard 3600`);
    const tunnel = (ends: string) => `tmpl ${ends} proto esp reqid 1 mode tunnel`;
    const there = `src ${LEFT.inner} dst ${RIGHT.inner}`;
    const here = `src ${RIGHT.inner} dst ${LEFT.inner}`;
    await hosts.left.ip(`xfrm policy add ${there} dir out ${tunnel(toRight)}`);
    await hosts.left.ip(`xfrm policy add ${here} dir in ${tunnel(toLeft)}`);
    await hosts.right.ip(`xfrm policy add ${here} dir out ${tunnel(toLeft)}`);
    await hosts.right.ip(`xfrm policy add ${there} dir in ${tunnel(toRight)}`);
    await settled();

    say(pc.dim('# traffic: after three packets the SA reaches its soft limit on both hosts'));
    for (const watch of watches) watch.expect({ EXPIRE: 1 });
    await sendPackets(6);
    await settled();

    say(pc.dim('# a rekey: new SAs are added, then the old ones deleted'));
    for (const watch of watches) watch.expect({ NEWSA: 2, DELSA: 2 });
    await both(`xfrm state add ${out(0x1002)} limit time-hard 3600`);
    await both(`xfrm state add ${back(0x2002)} limit time-hard 3600`);
    await both(`xfrm state delete ${toRight} proto esp spi ${0x1001}`);
    await both(`xfrm state delete ${toLeft} proto esp spi ${0x2001}`);
    await settled();

    say(pc.dim('# an update: the left host limits an SA to one second'));
    onLeft.expect({ UPDSA: 1, EXPIRE: 1 });
    await hosts.left.ip(`xfrm state update ${out(0x1002)} limit time-hard 1`);
    await settled();

    say(pc.dim('# the end: flush everything'));
    for (const watch of watches) watch.expect({ FLUSHSA: 1, FLUSHPOLICY: 1 });
    await both('xfrm state flush');
    await both('xfrm policy flush');
    await settled();

    const exact = [await onLeft.end(), await onRight.end()].every((one) => one);
    say(exact ? pc.green('every change was announced, and nothing else was') : pc.red('not exact'));
    return exact ? 0 : 1;
  } finally {
    for (const watch of watches) watch.kill();
  }
}

/** Sends datagrams through the tunnel, to the discard port of the right host. */
async function sendPackets(count: number): Promise<void> {
  const socket = createSocket('udp4');
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve, reject) => {
      socket.send('netlink-xfrm', 9, RIGHT.inner, (error) => (error ? reject(error) : resolve()));
    });
  }
  socket.close();
}
