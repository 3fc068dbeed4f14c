/** `netlink-xfrm why` of a moment of a recording says what it said at that moment. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { checkLine } from '../schema.ts';
import { allRead, run, start } from './command.ts';
import { hostsHere, type TwoHosts } from './here.ts';
import { GCM, ip, KEY_HEX, withoutEsp, words } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-why-'));
let hosts: TwoHosts;
before(async () => {
  hosts = await hostsHere();
  ip(...words('address add 10.1.0.5/32 dev lo'));
  for (const net of ['10.2.0.0/16', '10.1.0.0/16']) {
    ip(...words(`route add ${net} via 192.0.2.2 dev cable`));
  }
  await hosts.left.sysctl('net/ipv4/ip_forward', 1);
});
after(async () => {
  await hosts.left.sysctl('net/ipv4/ip_forward', 0);
  ip(...words('address del 10.1.0.5/32 dev lo'));
  await hosts[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const OUT = 'src 10.1.0.0/16 dst 10.2.0.0/16 dir out';
const IN = 'src 10.2.0.0/16 dst 10.1.0.0/16';
const tunnel = (src: string, dst: string, more = 'reqid 1') =>
  `tmpl src ${src} dst ${dst} proto esp ${more} mode tunnel`;
const policy = (text: string, act = 'add') => ip('xfrm', 'policy', act, ...words(text));
const sa = (src: string, dst: string, more: string) =>
  ip(
    'xfrm',
    'state',
    'add',
    ...words(`src ${src} dst ${dst} proto esp ${more} mode tunnel`),
    ...GCM,
  );
const LEFT = '192.0.2.1';
const RIGHT = '192.0.2.2';

const STEPS: readonly (() => void)[] = [
  () => {},
  // No source in the template: the kernel chooses it.
  () => policy(`${OUT} priority 100 ${tunnel('0.0.0.0', RIGHT)}`),
  () => {
    policy(`${IN} dir in ${tunnel(RIGHT, LEFT)}`);
    policy(`${IN} dir fwd ${tunnel(RIGHT, LEFT)}`);
  },
  // Of equal priority, so that the order counts; then one is replaced.
  () => {
    policy('src 10.1.0.5 dst 10.2.0.7 dir out priority 50 action block');
    policy('src 10.1.0.0/24 dst 10.2.0.0/24 dir out priority 50');
  },
  () => policy('src 10.1.0.5 dst 10.2.0.7 dir out priority 50 action block', 'update'),
  () => ip(...words('xfrm policy delete src 10.1.0.5 dst 10.2.0.7 dir out')),
  () => policy(`src 10.1.0.5 dst 10.2.0.8 mark 5 dir out priority 10 action block`),
  ...(withoutEsp
    ? []
    : [
        () => sa(LEFT, RIGHT, 'spi 0x1001 reqid 2'),
        () => {
          sa(LEFT, RIGHT, 'spi 0x1002 reqid 1');
          sa(LEFT, RIGHT, 'spi 0x1003 reqid 1');
          sa(RIGHT, LEFT, 'spi 0x2001 reqid 1');
          sa(RIGHT, LEFT, 'spi 0x2002 reqid 1 mark 7');
        },
        () => ip(...words(`xfrm state delete src ${LEFT} dst ${RIGHT} proto esp spi 0x1002`)),
      ]),
  () => ip(...words('address del 10.1.0.5/32 dev lo')),
  () => ip(...words('address add 10.1.0.5/32 dev lo')),
  () => ip(...words('xfrm policy setdefault fwd block')),
  () => {
    ip(...words('xfrm policy setdefault fwd accept'));
    ip(...words('xfrm policy flush'));
    ip(...words('xfrm state flush'));
  },
];

const QUESTIONS: readonly (readonly string[])[] = [
  ['10.1.0.5 > 10.2.0.7 udp 9'],
  ['10.1.0.5 > 10.2.3.7 udp 9'],
  ['10.1.0.5 > 10.2.0.8 udp 9', '--mark', '5'],
  ['10.2.0.7 > 10.1.0.5 tcp 443'],
  ['10.2.0.7 > 10.1.0.5 tcp 443', '--clear'],
  ['10.2.0.7 > 10.1.0.5 tcp 443', '--spi', '0x2001'],
  ['10.1.9.9 > 10.2.0.7'],
  ['10.1.0.5 > 192.0.2.1'],
  ['10.1.0.5 > 10.2.0.7 udp 9', '--interface', 'cable'],
];

/** A verdict, without what is asked of the kernel only. */
function verdict({ stdout, stderr }: { stdout: string; stderr: string }) {
  if (stdout === '') return { stderr };
  assert.equal(checkLine(stdout), 'why');
  const { time: _, monotonic: __, route, assumed, ...rest } = JSON.parse(stdout);
  return { assumed: assumed as string[], rest: { ...rest, noRoute: route.error } };
}

test('a verdict on a moment of a recording is the one of that moment', async () => {
  const file = join(folder, 'why.nxr');
  const recorder = await start('record', '-o', file, '--snapshots', '300ms');
  const said: { at: string; of: ReturnType<typeof verdict>[] }[] = [];
  for (const step of STEPS) {
    step();
    await allRead();
    const of = QUESTIONS.map((question) => verdict(run('why', ...question, '-o', 'json')));
    said.push({ at: new Date().toISOString(), of });
  }
  await recorder.end();
  const outcomes = new Set<string>();
  for (const [step, { at, of }] of said.entries()) {
    for (const [i, question] of QUESTIONS.entries()) {
      const back = run('why', ...question, '--recording', file, '--at', at, '-o', 'json');
      const then = verdict(back);
      const live = of[i];
      assert(!back.stdout.includes(KEY_HEX));
      if (live?.rest === undefined) assert.equal(then.stderr, live?.stderr);
      else {
        assert.deepEqual(live.assumed, []);
        assert.deepEqual(then.rest, live.rest, `${question} at step ${step}`);
        assert((then.assumed ?? []).length > 0);
        outcomes.add(live.rest.outcome);
      }
    }
  }
  assert.deepEqual([...outcomes].sort(), [
    'clear',
    'dropped',
    ...(withoutEsp ? [] : ['protected']),
  ]);

  const wild = said[2]?.at ?? '';
  const text = run('why', '10.1.0.5 > 10.2.0.7', '--recording', file, '--at', wild).stdout;
  assert.match(
    text,
    /^ {2}assumed {3}there is a route to 10\.2\.0\.7 by an interface that is no /m,
  );
  assert.match(text, /^ {2}assumed {3}the source of packets to 192\.0\.2\.2 is 192\.0\.2\.1$/m);
  const wrong = (...args: string[]) => run('why', '10.1.0.5 > 10.2.0.7', ...args).stderr;
  assert.match(
    wrong('--recording', file, '--interface', 'nothing'),
    /there was no interface nothing/,
  );
  assert.match(wrong('--recording', file, '--uid', '1'), /a recording has no routes/);
  assert.match(wrong('--at', '-5m'), /'--at' needs '--recording'/);
});
