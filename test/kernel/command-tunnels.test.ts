/** The subcommands about tunnels, run as a user does, with what every kernel can show: blocked, down. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Origin } from '../../lib/cli/events/event-streams.ts';
import { TunnelStreams } from '../../lib/cli/tunnels/tunnel-streams.ts';
import { checkLine } from '../schema.ts';
import { run, runWithoutPrivilege, start } from './command.ts';
import { ip, ipBatch, words } from './support.ts';
import { TestTerminal } from './terminal.ts';
import {
  addHere,
  addPolicies,
  begin,
  deleteHere,
  FAR,
  flush,
  HERE,
  lines,
  TITLE,
} from './tunnel-peers.ts';

before(() => addHere());
after(deleteHere);

test('tunnels are listed by trouble, as lines and as JSON, expected ones too', () => {
  addPolicies(7);
  addPolicies(8, '198.51.100.8');
  const expected = ['--expect', 'rome=203.0.113.1', '--expect', 'paris=198.51.100.8,reqid=8'];
  const text = run('tunnels', ...expected);
  assert.equal(text.status, 0, text.stderr);
  const [rome, ...blocked] = lines(text.stdout);
  assert.match(
    rome ?? '',
    /^down rome any > 203\.0\.113\.1 since-before \d{4}-\S+Z sas 0 in 0 out /,
  );
  assert.equal(blocked.length, 2);
  for (const line of blocked) {
    assert.match(
      line,
      /^blocked (paris )?192\.0\.2\.1 > 198\.51\.100\.[78] esp tunnel reqid [78] since-before \S+Z .* reason "[^"]+"$/,
    );
  }
  const json = lines(run('tunnels', '--json', ...expected, 'state=down,blocked').stdout);
  assert.deepEqual(json.map(checkLine), ['tunnel', 'tunnel', 'tunnel']);
  const tunnels = json.map((line) => JSON.parse(line).tunnel);
  assert.deepEqual(
    tunnels.map(({ state }) => state),
    ['down', 'blocked', 'blocked'],
  );
  const paris = tunnels.find(({ name }) => name === 'paris');
  assert.deepEqual(
    [paris.remote, paris.expected, paris.policies.length],
    ['198.51.100.8', true, 2],
  );
  assert.deepEqual(lines(run('tunnels', 'reqid=7').stdout).length, 1);
  assert.equal(run('tunnels', 'state=up').stdout, '');
  flush();
  assert.equal(run('tunnels').stdout, '');
});

test('--watch in a pipe lists, prints synced, and prints changes as lines', async () => {
  addPolicies(7);
  const text = await start('tunnels', '--watch', 'peer=198.51.100.0/24');
  const json = await start('tunnels', '-w', '--json', '--count', '1', 'change=added');
  for (const one of [text, json]) await one.printed('synced');
  addPolicies(8, '198.51.100.8');
  addPolicies(9, '203.0.113.9');
  await text.printed('reqid 8');
  const [status] = await json.exited;
  assert.equal(status, 0);
  const { out, err } = await text.end();
  const [listed, synced, added] = lines(out);
  assert.match(listed ?? '', /^blocked 192\.0\.2\.1 > 198\.51\.100\.7 /);
  assert.match(synced ?? '', /^\d\d:\d\d:\d\d\.\d{3} synced {4}1 tunnels listed$/);
  assert.match(added ?? '', /^\S+ added {5}192\.0\.2\.1 > 198\.51\.100\.8 reqid 8: blocked, /);
  assert(!out.includes('203.0.113.9'));
  assert.match(err, /^listening to tunnels\n\d+ events? \(added 1/);
  const kinds = lines((await json.end()).out).map(checkLine);
  assert.deepEqual(kinds, ['tunnel', 'synced', 'tunnel-change added', 'summary']);
  flush();
});

test('monitor --tunnels prints changes with events, or alone', async () => {
  const both = await start('monitor', 'policy', '--tunnels', 'reqid=7');
  const alone = await start('monitor', '--tunnels', '--json', 'change=added', '-c', '1');
  addPolicies(7);
  await both.printed('added');
  const [status] = await alone.exited;
  assert.equal(status, 0);
  flush();
  await both.printed('state ');
  const { out, err } = await both.end();
  const kinds = lines(out).map((line) => line.split(/\s+/)[1]);
  assert.deepEqual(kinds.filter((kind) => kind === 'NEWPOLICY').length, 2);
  assert(kinds.includes('FLUSHPOLICY') && kinds.includes('added'), out);
  assert.match(out, new RegExp(`added {5}${TITLE}: blocked, `));
  assert.match(
    err,
    /^listening to policy tunnels \(.*\n\d events \(.*NEWPOLICY 2.*, nothing lost\n$/,
  );
  const json = lines((await alone.end()).out);
  assert.deepEqual(json.map(checkLine), ['tunnel-change added', 'summary']);
});

test('monitor --tunnels lists tunnels again after missing changes', async () => {
  const origin = { label: 'a', path: undefined } as Origin;
  const streams = new TunnelStreams({ highWaterMark: 2 });
  const told: string[] = [];
  try {
    streams.joined(origin);
    await streams.ready(new AbortController().signal);
    streams.pause();
    streams.start({
      change: ({ kind }) => told.push(kind),
      again: ({ tunnels }, { label }) => told.push(`${label} ${tunnels.length}`),
      error: (error) => told.push(error.message),
    });
    for (const reqid of [1, 2, 3, 4, 5]) {
      addPolicies(reqid);
      await sleep(300);
    }
    streams.resume();
    await sleep(50);
    const added = told.slice(0, -2);
    assert(added.length < 5 && added.every((kind) => kind === 'added'), `${told}`);
    assert.deepEqual(told.slice(-2), ['overrun', 'a 5']);
  } finally {
    await streams.close();
    flush();
  }
});

test('monitor --tunnels follows other namespaces, including new ones', async () => {
  const names = [`a${process.pid}`, `b${process.pid}`] as const;
  const add = (name: string) => {
    ip('netns', 'add', name);
    addHere('-n', name);
  };
  const policy = (name: string) =>
    ip(
      ...words(`-n ${name} xfrm policy add src 10.0.0.0/16 dst 10.7.0.0/16 dir out`),
      ...words(`tmpl src ${HERE} dst ${FAR} proto esp reqid 7 mode tunnel`),
    );
  add(names[0]);
  try {
    const all = await start('monitor', '--tunnels', '--all-netns', '--json', 'change=added');
    const one = await start('monitor', '--tunnels', '--netns', names[0], 'change=added');
    assert.equal(run('tunnels', '--netns', names[0]).stdout, '');
    policy(names[0]);
    await one.printed('added');
    await all.printed('added');
    add(names[1]);
    await all.printed('"namespace"');
    // Known as soon as its tunnels are; before, what there is would be no change.
    await sleep(300);
    policy(names[1]);
    await all.printed(`"netns":"${names[1]}","change":"added"`);
    assert.match((await one.end()).out, new RegExp(`^\\S+ ${names[0]} added {5}${TITLE}: blocked`));
    for (const line of lines((await all.end()).out)) checkLine(line);
    assert.match(run('tunnels', '--netns', names[0]).stdout, /^blocked /);
    assert.equal(run('tunnels').stdout, '');
  } finally {
    for (const name of names) spawnSync('ip', ['netns', 'del', name]);
  }
});

test('wait: immediately, in time, too late, never, and one of two tunnels', async () => {
  addPolicies(7);
  const wait = (...args: string[]) => run('wait', '--timeout', '10m', ...args);
  const waitInVain = (...args: string[]) => run('wait', '--timeout', '2s', ...args);
  for (const tunnel of [FAR, TITLE, 'reqid=7', 'paris']) {
    const { status, stdout, stderr } = wait('--for', 'down', tunnel, '--expect', `paris=${FAR}`);
    // With a name of its own, its id is that name.
    if (tunnel === TITLE) assert.equal(status, 1, stderr);
    else {
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^blocked paris 192\.0\.2\.1 > 198\.51\.100\.7 /);
    }
  }
  const json = wait('--for', 'blocked', TITLE, '--json');
  assert.equal(json.status, 0);
  assert.equal(checkLine(json.stdout), 'tunnel');
  const late = waitInVain('--for', 'up', FAR);
  assert.equal(late.status, 124);
  assert.match(late.stdout, /^blocked /);
  assert.match(
    late.stderr,
    /timed out after 2s waiting for '198\.51\.100\.7' to be up; it is blocked: policies/,
  );
  const unseen = waitInVain('--for', 'up', '203.0.113.1');
  assert.equal(unseen.status, 124);
  assert.equal(unseen.stdout, '');
  assert.match(unseen.stderr, /no such tunnel was seen/);
  const never = wait('--for', 'down', '203.0.113.1');
  assert.equal(never.status, 1);
  assert.match(never.stderr, /no tunnel '203\.0\.113\.1'.*\nName it with --expect/);
  const expected = wait('--for', 'down', 'rome', '--expect', 'rome=203.0.113.1');
  assert.equal(expected.status, 0);
  assert.match(expected.stdout, /^down rome any > 203\.0\.113\.1 /);
  addPolicies(8);
  const two = wait('--for', 'down', FAR);
  assert.equal(two.status, 2);
  assert.match(
    two.stderr,
    /'198\.51\.100\.7' matches more than one tunnel:\n {2}.*reqid 7\n {2}.*reqid 8\n/,
  );
  flush();
});

test('wait finds a tunnel added later', async () => {
  const ended = begin('wait', '--for', 'blocked', 'reqid=9', '--timeout', '10m');
  await sleep(500);
  addPolicies(9);
  assert.match(await ended, /^0 blocked 192\.0\.2\.1 > 198\.51\.100\.7 esp tunnel reqid 9 /);
});

test('check follows the monitoring plugin conventions', () => {
  const none = run('check');
  assert.equal(none.status, 3);
  assert.match(none.stdout, /^TUNNELS UNKNOWN - no tunnels to check \| tunnels=0 up=0;;;0;0 /);
  assert.equal(run('check', '--none', 'ok').status, 0);
  addPolicies(7);
  const down = run('check', '--expect', 'rome=203.0.113.1');
  assert.equal(down.status, 2);
  assert.match(
    down.stdout,
    /^TUNNELS CRITICAL - 2 of 2 tunnels with problems: rome down, .* blocked \| .* blocked=1;;;0;2 down=1;;;0;2 problems=2\nCRITICAL rome down: .*\nCRITICAL .* blocked: .*\n$/,
  );
  const mild = run('check', '--critical', 'down', '--warning', 'blocked', '--json');
  assert.equal(mild.status, 1);
  assert.equal(checkLine(mild.stdout), 'check');
  assert.equal(run('check', '--critical', '', '--warning', '').status, 0);
  flush();
});

test('without CAP_NET_ADMIN each names the missing capability', () => {
  for (const args of [
    ['tunnels'],
    ['tunnels', '--watch'],
    ['wait', '--for', 'up', FAR],
    ['monitor', '--tunnels'],
  ]) {
    const { stdout, stderr, status } = runWithoutPrivilege(...args);
    assert.equal(status, 3, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, /^netlink-xfrm: .*EPERM.*\n.*CAP_NET_ADMIN/);
  }
  const { stdout, stderr, status } = runWithoutPrivilege('check');
  assert.equal(status, 3);
  assert.equal(stderr, '');
  assert.match(stdout, /^TUNNELS UNKNOWN - .*EPERM.*CAP_NET_ADMIN/);
});

test('on a terminal there is a table with durations', async () => {
  addPolicies(7);
  const terminal = new TestTerminal(['tunnels', '--expect', 'rome=203.0.113.1'], {
    more: { NO_COLOR: '1' },
  });
  assert.equal(await terminal.ended(), 0);
  const screen = await terminal.screen();
  const at = screen.findIndex((line) => line.startsWith('STATE'));
  assert.match(screen[at] ?? '', /^STATE {4}FOR {2}TUNNEL +ID {2}WHY$/);
  assert.match(
    screen[at + 1] ?? '',
    /^down {5}\? {4}rome any > 203\.0\.113\.1 +- {3}no SAs or policies/,
  );
  assert.match(
    screen[at + 2] ?? '',
    /^blocked {2}\? {4}192\.0\.2\.1 > 198\.51\.100\.7 +#7 {2}policies, but no SAs/,
  );
  flush();
});

test('--watch on a terminal is a live screen that gives the terminal back', async () => {
  const terminal = new TestTerminal(['tunnels', '--watch', '--expect', 'rome=203.0.113.1']);
  await terminal.shows(/^\[SYNCED\] {2}1 tunnel: 1 down/);
  addPolicies(7);
  const [head, , first, second] = await terminal.shows(/^blocked/m);
  assert.match(head ?? '', /^\[SYNCED\] {2}2 tunnels: 1 down, 1 blocked {2}counters of \ds ago$/);
  assert.match(first ?? '', /^down .* rome any > 203\.0\.113\.1 /);
  assert.match(second ?? '', /^blocked .* 192\.0\.2\.1 > 198\.51\.100\.7 +#7 /);
  // Durations grow by themselves.
  await terminal.shows(/^down +>[3-9]s/m);
  // A smaller window: what fits, and where the rest is.
  terminal.resize(40, 4);
  const small = await terminal.shows(/1 below/);
  assert.equal(small.length, 4);
  assert.match(small[2] ?? '', /^down/);
  terminal.press('j');
  const below = await terminal.shows(/1 above/);
  assert.match(below[2] ?? '', /^blocked/);
  terminal.resize(100, 12);
  await terminal.shows(/^down[\s\S]*^blocked[\s\S]*q quits$/m);
  terminal.press('q');
  assert.equal(await terminal.ended(), 0);
  // What was there before is there again, the cursor too, and keys are lines again.
  const after = await terminal.screen();
  assert.deepEqual(after.slice(2, 5), ['status=0', 'icanon', '']);
  const { output } = terminal;
  const frames = output.split('␛[?2026h').slice(1);
  assert(frames.length >= 5, `${frames.length} frames`);
  const [begin = '', end = ''] = [output.split('␛[?2026h')[0], frames.at(-1)];
  assert(begin.endsWith('␛[?1049h␛[?25l␛[?7l'));
  assert.match(end, /␛\[\?2026l␛\[\?7h␛\[\?25h␛\[\?1049lstatus=0/);
  // Nothing flickers: no frame erases the screen, or a line that it then writes.
  for (const frame of frames) {
    assert.doesNotMatch(frame, /␛\[[123]J/);
    assert.doesNotMatch(frame, /␛\[\d+;1H␛\[[012]?K/);
    assert.equal(frame.split('␛[?2026l').length, 2);
  }
  flush();
});

test('Ctrl-C and a signal end the screen too, and give the terminal back', async () => {
  const keyed = new TestTerminal(['tunnels', '--watch']);
  await keyed.shows(/SYNCED/);
  // Nobody could continue it here, so the kernel does not stop it: the screen goes and comes.
  keyed.press('\x1a');
  await keyed.writes('␛[?1049l', 1);
  await keyed.writes('␛[?1049h', 2);
  await keyed.shows(/SYNCED/);
  keyed.press('\x03');
  assert.equal(await keyed.ended(), 0);
  assert((await keyed.screen()).includes('icanon'));
  const signalled = new TestTerminal(['tunnels', '--watch']);
  await signalled.shows(/SYNCED/);
  signalled.signal('SIGTERM');
  assert.equal(await signalled.ended(), 0);
  assert.deepEqual((await signalled.screen()).slice(2, 5), ['status=0', 'icanon', '']);
});

test('a dumb terminal gets lines, and NO_COLOR no colours', async () => {
  const dumb = new TestTerminal(['tunnels', '--watch', '-c', '1'], { more: { TERM: 'dumb' } });
  await dumb.shows(/synced/);
  addPolicies(7);
  assert.equal(await dumb.ended(), 0);
  assert.doesNotMatch(dumb.output, /␛\[[?\d;]*[A-Zhl]/);
  assert.match(dumb.output, /added/);
  const plain = new TestTerminal(['tunnels', '-w'], { more: { NO_COLOR: '1' } });
  await plain.shows(/blocked/);
  plain.press('q');
  assert.equal(await plain.ended(), 0);
  assert.doesNotMatch(plain.output, /␛\[[\d;]*m/);
  flush();
});

test('the screen is right again after events were lost', { timeout: 600_000 }, async () => {
  const terminal = new TestTerminal(['tunnels', '--watch', '--buffer', '1']);
  await terminal.shows(/SYNCED/);
  terminal.signal('SIGSTOP');
  const one = 'src 10.0.0.0/24 dst 10.1.0.0/24 dir out';
  const change = (i: number) => `xfrm policy ${i % 2 === 0 ? 'add' : 'delete'} ${one}`;
  // 1280 bytes of buffer each: more than fit into 2 MiB.
  ipBatch(Array.from({ length: 4000 }, (_, i) => change(i)));
  addPolicies(7);
  terminal.signal('SIGCONT');
  await terminal.shows(/^\[SYNCED\] {2}1 tunnel: 1 blocked/);
  terminal.press('q');
  assert.equal(await terminal.ended(), 0);
  flush();
});
