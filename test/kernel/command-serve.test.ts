/** `netlink-xfrm serve` as a user runs it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { get as getTls } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { connect } from 'node:tls';
import { inspect } from 'node:util';
import { readExposition } from '../exposition.ts';
import { program, run, runWithoutPrivilege, startBy } from './command.ts';
import { ip, words } from './support.ts';
import { addHere, addPolicies, deleteHere, FAR, flush, HERE } from './tunnel-peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-serve-'));
const file = (name: string, content: string | object) => {
  const path = join(folder, name);
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const [NETNS, OTHER] = ['serve-red', 'serve-blue'];
const TLS = join(import.meta.dirname, '../../../test/fixtures/tls');

before(() => addHere());
after(() => {
  deleteHere();
  rmSync(folder, { recursive: true });
});
afterEach(() => {
  flush();
  for (const name of [NETNS, OTHER]) {
    if (existsSync(`/run/netns/${name}`)) ip('netns', 'delete', name);
  }
});

/** A running daemon, on a port of its own. */
const serve = (...args: string[]) => serveBy([program], ...args);

/** The same, by another program. */
async function serveBy(by: readonly string[], ...args: string[]) {
  const daemon = await startBy(by, 'serve', '--listen', '127.0.0.1:0', ...args);
  const at = /https?:\/\/[\d.:]+/.exec(await daemon.said('listening on'))?.[0] ?? '';
  const fetched = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${at}${path}`, { headers });
  // biome-ignore lint/suspicious/noExplicitAny: the assertions say what is in it.
  const json = async (path: string): Promise<any> => (await fetched(path)).json();
  const metrics = async () => readExposition(await (await fetched('/metrics')).text(), 'classic');
  const ready = () =>
    until(
      async () => {
        const response = await fetched('/readyz');
        return { status: response.status, text: await response.text() };
      },
      ({ status }) => status === 200,
    );
  return { ...daemon, at, fetched, json, metrics, ready };
}

/** Asks again until an answer is as it should be: what the kernel announces takes a moment, at most a minute. */
async function until<Value>(ask: () => Promise<Value>, isRight: (value: Value) => boolean) {
  const late = AbortSignal.timeout(60_000);
  for (;;) {
    const value = await ask();
    if (isRight(value)) return value;
    if (late.aborted) assert.fail(`not within 60 s; the last answer is ${inspect(value)}`);
    await new Promise(setImmediate);
  }
}

test('metrics, probes, the API, and shutdown by a signal', async () => {
  addPolicies(7);
  const all = await serve('--expect', `paris=${FAR}`, '--expect', 'gone=203.0.113.9');
  await all.ready();
  assert.equal(await (await all.fetched('/healthz')).text(), 'ok\n');
  const classic = await all.metrics();
  assert.equal(classic.value('xfrm_tunnel_up', { tunnel: 'gone' }), 0);
  assert.equal(classic.value('xfrm_tunnel_state', { tunnel: 'paris', state: 'blocked' }), 1);
  assert.equal(classic.value('xfrm_policies', { direction: 'out' }), 1);
  assert.equal(classic.value('xfrm_watch_synced'), 1);
  assert((classic.value('process_resident_memory_bytes') ?? 0) > 2 ** 20);
  const accept = 'application/openmetrics-text;version=1.0.0';
  const open = await all.fetched('/metrics', { accept });
  assert.match(open.headers.get('content-type') ?? '', /^application\/openmetrics-text; version=1/);
  readExposition(await open.text(), 'openmetrics');

  const { namespaces, refreshSeconds } = await all.json('/api/host');
  assert.deepEqual([namespaces[0].name, namespaces[0].state, refreshSeconds], [null, 'synced', 10]);
  const { tunnels } = await all.json('/api/tunnels');
  assert.deepEqual(
    tunnels.map(({ key, state, label }: Record<string, string>) => [key, state, label]),
    [
      ['gone', 'down', 'gone'],
      ['paris', 'blocked', 'paris'],
    ],
  );
  assert.equal((await all.json('/api/tunnels?state!=down')).tunnels.length, 1);
  assert.equal((await all.json('/api/policies?dir=out')).policies.length, 1);
  assert.deepEqual((await all.json('/api/states')).states, []);
  const { tunnel, policies } = await all.json('/api/tunnels/paris');
  assert.deepEqual([tunnel.remote, policies.length], [FAR, 2]);
  assert.equal((await all.fetched('/api/tunnels/none')).status, 404);
  const wrong = await all.fetched('/api/tunnels?peer=x');
  assert.equal(wrong.status, 400);
  assert.match(((await wrong.json()) as { error: string }).error, /invalid value 'x' for peer/);
  const { tunnels: histories } = await all.json('/api/history');
  assert.equal(histories.paris.states[0][1], 'blocked');
  const { status } = await all.end();
  assert.equal(status, 0);
});

test('events are streamed live, and a client that reconnects gets what it missed', async () => {
  const all = await serve('--expect', `paris=${FAR}`);
  await all.ready();
  const isBlocked = (text: string) => text.includes('"state":"blocked"');
  let added = false;
  const read = async (headers: Record<string, string>, last: (text: string) => boolean) => {
    const response = await all.fetched('/api/events?kinds=tunnel,policy', headers);
    let text = '';
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    while (!last(text)) {
      const { value, done } = await reader.read();
      assert(!done, text);
      text += decoder.decode(value);
      if (text.includes(': connected') && !added) {
        added = true;
        addPolicies(7);
      }
    }
    await reader.cancel();
    const blocks = text.split('\n\n').filter((block) => block.startsWith('id: '));
    return blocks.map((block) => {
      const [, id, kind, data] = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(block) ?? [];
      return { id: Number(id), kind, data: JSON.parse(data ?? 'null') };
    });
  };
  const events = await read({}, isBlocked);
  assert.deepEqual([...new Set(events.map(({ kind }) => kind))].sort(), ['policy', 'tunnel']);
  assert(events.every(({ id }, i) => i === 0 || id > (events[i - 1]?.id ?? 0)));
  const [first] = events;
  assert(first);
  assert.deepEqual([first.data.kind, first.data.netns], ['NEWPOLICY', null]);
  // What came after the first one comes again.
  const again = await read({ 'last-event-id': String(first.id) }, isBlocked);
  assert.deepEqual(again.slice(0, events.length - 1), events.slice(1));
  const gap = await read({ 'last-event-id': '5' }, (text) => text.includes('event: gap'));
  assert.deepEqual(
    gap.map(({ kind }) => kind),
    ['gap'],
  );
  await all.end();
});

test('SIGHUP: expected tunnels change, an invalid file changes nothing, and nothing is lost', async () => {
  addPolicies(7);
  const config = file('serve.json', { expected: [{ name: 'paris', remote: FAR }] });
  const all = await serve('--config', config);
  await all.ready();
  const since = async (tunnel: string) =>
    (await all.metrics()).value('xfrm_tunnel_state_since_timestamp_seconds', { tunnel });
  const before = await since('paris');
  file('serve.json', '{\n  "expected": 7\n}');
  all.child.kill('SIGHUP');
  await all.said('serve.json:2:15: expected must be an array');
  const failed = await all.metrics();
  assert.equal(failed.value('xfrm_serve_config_last_reload_successful'), 0);
  assert.equal(failed.value('xfrm_tunnel_expected', { tunnel: 'paris' }), 1);
  file('serve.json', {
    expected: [
      { name: 'paris', remote: FAR },
      { name: 'zurich', remote: '203.0.113.9' },
    ],
    refresh: '20s',
  });
  all.child.kill('SIGHUP');
  await until(all.metrics, ({ value }) => value('xfrm_tunnel_up', { tunnel: 'zurich' }) === 0);
  await all.said('takes effect at the next start only: refresh');
  assert.equal(await since('paris'), before);
  assert.equal((await all.metrics()).value('xfrm_serve_config_last_reload_successful'), 1);
  await all.end();
});

test('TLS and a token, from files', async () => {
  const token = 'a-token-of-20-letters';
  const all = await serve(
    ...['--tls-cert', join(TLS, 'cert.pem'), '--tls-key', join(TLS, 'key.pem')],
    ...['--token-file', file('token', token)],
  );
  const ca = readFileSync(join(TLS, 'cert.pem'));
  const status = (path: string, headers: Record<string, string> = {}) =>
    new Promise((resolve, reject) => {
      getTls(`${all.at}${path}`, { ca, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });
  assert.equal(await status('/healthz'), 200);
  assert.equal(await status('/api/host'), 401);
  assert.equal(await status('/api/host', { authorization: `Bearer ${token}` }), 200);
  // Another token is read with the configuration.
  file('token', 'another-token-of-26-letters');
  all.child.kill('SIGHUP');
  await all.said('the configuration was read again');
  assert.equal(await status('/api/host', { authorization: `Bearer ${token}` }), 401);
  const { err } = await all.end();
  assert(!err.includes('letters'), err);
});

test('SIGHUP: another certificate is used, and one that is wrong or out of date changes nothing', async () => {
  const pair = (name: string) => ({
    cert: join(TLS, `${name}cert.pem`),
    key: join(TLS, `${name}key.pem`),
  });
  const [old, fresh, late] = [pair(''), pair('other-'), pair('expired-')];
  const configure = (tls: object) => file('tls.json', { tls });
  const all = await serve('--config', configure(old));
  const served = async () => {
    const socket = connect({ port: Number(new URL(all.at).port), rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };
  assert.equal(await served(), 'localhost');
  for (const [tls, message] of [
    [{ cert: fresh.cert, key: late.key }, 'expired-key.pem: not the key of the certificate in '],
    [late, 'expired-cert.pem: the certificate expired on '],
    [{ cert: fresh.key, key: fresh.key }, 'other-key.pem: not a certificate in PEM'],
  ] as const) {
    configure(tls);
    all.child.kill('SIGHUP');
    await all.said(message);
    assert.equal(await served(), 'localhost');
  }
  configure(fresh);
  all.child.kill('SIGHUP');
  await all.said('the configuration was read again');
  assert.equal(await served(), 'other');
  const { err } = await all.end();
  assert.equal(err.match(/event=reload-failed/g)?.length, 3, err);
  assert(!err.includes('BEGIN'), err);
  // At start there is nothing better, and clocks may be wrong.
  const next = await serve('--config', configure(late));
  await next.said('expired-cert.pem: the certificate expired on ');
  await next.end();
});

test('a thousand event streams: as many as allowed are served, and others still get answers', async () => {
  const config = file('streams.json', { eventStreams: 8, connections: 64 });
  const all = await serve('--config', config);
  await all.ready();
  const asked = Array.from({ length: 1000 }, () => get(`${all.at}/api/events`, { agent: false }));
  const answers = await Promise.all(
    asked.map(async (one) => {
      try {
        const [response] = (await once(one, 'response')) as [IncomingMessage];
        response.on('error', () => {}).resume();
        return response.statusCode;
      } catch {
        return 'closed';
      }
    }),
  );
  const count = (what: unknown) => answers.filter((one) => one === what).length;
  assert.equal(count(200), 8);
  assert.equal(count(503) + count('closed'), 992);
  assert.equal((await all.fetched('/healthz')).status, 200);
  const { value } = await all.metrics();
  assert.equal(value('xfrm_serve_event_streams'), 8);
  assert((value('xfrm_serve_connections') ?? 0) <= 64);
  const refused = (reason: string) => value('xfrm_serve_refusals_total', { reason }) ?? 0;
  assert(refused('busy') >= count(503), `${refused('busy')}`);
  assert(refused('connections') + refused('busy') >= 992);
  for (const one of asked) one.on('error', () => {}).destroy();
  await until(all.metrics, (found) => found.value('xfrm_serve_event_streams') === 0);
  const again = await all.fetched('/api/events');
  assert.equal(again.status, 200);
  await again.body?.cancel();
  const { err } = await all.end();
  for (const event of ['refused-busy', 'refused-connections']) {
    assert((err.match(new RegExp(`event=${event}`, 'g'))?.length ?? 0) <= 1, err);
  }
});

test('a privilege that is lost is reported once, counted, and survived', async () => {
  // The same as another user, who lacks CAP_NET_ADMIN; the addon's thread has only that user, too.
  const script = `
    const { setuid } = process;
    process.on('SIGUSR2', () => setuid.call(process, 65534));
    await import(${JSON.stringify(program)});`;
  const path = join(folder, 'less.mjs');
  writeFileSync(path, script);
  const all = await serveBy([path], '--expect', `paris=${FAR}`, '--refresh', '1s');
  await all.ready();
  all.child.kill('SIGUSR2');
  const blind = await until(
    () => all.fetched('/readyz'),
    ({ status }) => status === 503,
  );
  assert.match(await blind.text(), /EPERM/);
  const { value } = await until(all.metrics, (found) => found.value('xfrm_watch_blind') === 1);
  assert.equal(value('xfrm_watch_ended_total'), 1);
  // How it is now is not known.
  assert.equal(value('xfrm_tunnel_up', { tunnel: 'paris' }), undefined);
  assert.deepEqual((await all.json('/api/tunnels')).tunnels, []);
  assert.match((await all.json('/api/host')).namespaces[0].reason, /EPERM/);
  assert.equal((await all.fetched('/healthz')).status, 200);
  const { status, err } = await all.end();
  assert.equal(status, 0);
  assert.equal(err.match(/is blind/g)?.length, 1, err);
});

/** Policies to the peer in the other namespace. */
function addPoliciesThere(): void {
  ip(...words(`-n ${NETNS} link set lo up`));
  ip(...words(`-n ${NETNS} address add ${HERE}/32 dev lo`));
  for (const [dir, from, to] of [
    ['out', HERE, FAR],
    ['in', FAR, HERE],
  ]) {
    const policy = `xfrm policy add src ${from} dst ${to} dir ${dir}`;
    ip(...words(`-n ${NETNS} ${policy} tmpl src ${from} dst ${to} proto esp reqid 7 mode tunnel`));
  }
}

test('a deleted namespace is reported, its expected tunnels are down, and it is watched again when it is back', async () => {
  ip('netns', 'add', NETNS);
  addPoliciesThere();
  // Without a namespace of its own, a tunnel is expected in the first that is watched.
  const all = await serve('--netns', NETNS, '--expect', `paris=${FAR}`);
  await all.ready();
  const { event } = await all.json('/api/tunnels');
  ip('netns', 'delete', NETNS);
  const gone = await until(
    () => all.fetched('/readyz'),
    ({ status }) => status === 503,
  );
  assert.match(await gone.text(), new RegExp(`^${NETNS}: /run/netns/${NETNS} is gone`));
  const blind = await all.metrics();
  const paris = { netns: NETNS, tunnel: 'paris' };
  assert.equal(blind.value('xfrm_watch_blind', { netns: NETNS }), 1);
  assert.equal(blind.value('xfrm_watch_ended_total', { netns: NETNS }), 1);
  assert.equal(blind.value('xfrm_tunnel_up', paris), 0);
  assert.equal(blind.value('xfrm_tunnel_expected', paris), 1);
  const { tunnels } = await all.json('/api/tunnels?state=down');
  const [{ key, reason }] = tunnels;
  assert.deepEqual(
    [tunnels.length, key, reason],
    [1, `netns/${NETNS}/paris`, 'its network namespace does not exist'],
  );
  const details = await all.json(`/api/tunnels/${encodeURIComponent(key)}`);
  assert.equal(details.tunnel.state, 'down');
  const stream = await all.fetched(`/api/events?kinds=tunnel&since=${event}`);
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
  let told = '';
  const heard = async (text: string) => {
    while (!told.includes(text)) told += new TextDecoder().decode((await reader.read()).value);
  };
  await heard('"before":"blocked"');
  ip('netns', 'add', NETNS);
  addPoliciesThere();
  await all.ready();
  const { value } = await until(
    all.metrics,
    (found) => found.value('xfrm_tunnel_state', { ...paris, state: 'blocked' }) === 1,
  );
  assert.equal(value('xfrm_watch_opened_total', { netns: NETNS }), 2);
  await heard('"before":"down"');
  await reader.cancel();
  const { err } = await all.end();
  assert.equal(err.match(/is blind/g)?.length, 1, err);
});

test('READY does not wait for a namespace that does not exist', async () => {
  const all = await serve('--netns', NETNS, '--expect', `paris=${FAR}`);
  // That line and READY=1 have one cause.
  await all.said('0 up, 1 not');
  const { status } = await all.fetched('/readyz');
  assert.equal(status, 503);
  await all.end();
});

test('the tunnels of a namespace that is no longer watched are reported as removed', async () => {
  const all = await serve('--all-netns');
  await all.ready();
  const stream = await all.fetched('/api/events?kinds=tunnel');
  ip('netns', 'add', NETNS);
  addPoliciesThere();
  await until(
    () => all.json('/api/tunnels'),
    ({ tunnels }) => tunnels.length === 1,
  );
  ip('netns', 'delete', NETNS);
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
  let told = '';
  while (!/"change":"removed".*\n/.test(told)) {
    told += new TextDecoder().decode((await reader.read()).value);
  }
  const removed = told.split('\n').filter((line) => line.includes('"change":"removed"'));
  assert.equal(removed.length, 1, told);
  assert(removed[0]?.includes(`"${NETNS}"`), told);
  await reader.cancel();
  await all.end();
});

test('all namespaces, as they come and go: what is expected in one is shown without it', async () => {
  const config = file('all.json', {
    allNetns: true,
    expected: [{ name: 'paris', remote: FAR, netns: NETNS }],
  });
  const all = await serve('--config', config);
  const paris = { netns: NETNS, tunnel: 'paris' };
  const isDown = ({ value }: Awaited<ReturnType<typeof all.metrics>>) =>
    value('xfrm_tunnel_up', paris) === 0 && value('xfrm_watch_blind', { netns: NETNS }) === 1;
  await until(all.metrics, isDown);
  ip('netns', 'add', NETNS);
  ip('netns', 'add', OTHER);
  await all.ready();
  const names = async () =>
    (await all.json('/api/host')).namespaces.map(({ name }: { name: string | null }) => name);
  await until(names, (found) => found.includes(OTHER));
  ip('netns', 'delete', NETNS);
  ip('netns', 'delete', OTHER);
  await until(names, (found) => !found.includes(OTHER));
  await until(all.metrics, isDown);
  await all.end();
});

test('start times and causes survive a restart', async () => {
  addPolicies(7);
  const directory = join(folder, 'state');
  const args = ['--expect', `paris=${FAR}`, '--state-dir', directory];
  const about = async (all: Awaited<ReturnType<typeof serve>>) => {
    await all.ready();
    const { value } = await all.metrics();
    const paris = { tunnel: 'paris' };
    return [
      value('xfrm_tunnel_state_since_timestamp_seconds', paris),
      value('xfrm_tunnel_counting_since_timestamp_seconds', paris),
    ];
  };
  const first = await serve(...args);
  const before = await about(first);
  assert.equal((await first.end()).status, 0);
  const second = await serve(...args);
  assert.deepEqual(await about(second), before);
  const path = join(directory, 'serve-state.ndjson');
  const isLast = () => JSON.parse(readFileSync(path, 'utf8').split('\n')[0] as string).isLast;
  // If it crashes now, nothing was saved at its exit.
  assert.equal(isLast(), false);
  await second.end();
  assert.equal(isLast(), true);
  writeFileSync(path, readFileSync(path, 'utf8').replace('paris', 'pasis'));
  const third = await serve(...args);
  await third.ready();
  const { err } = await third.end();
  assert.match(err, /the state file is damaged \(its checksum/);
});

test('a disk that is full or read-only is reported once, counted, and survived', async () => {
  const directory = join(folder, 'small');
  const fill = join(directory, 'fill');
  mkdirSync(directory);
  let mounts = 0;
  const mount = (options: string) => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'state', directory]);
    mounts++;
  };
  try {
    mount('size=16k');
    // It writes often, so that the test need not wait.
    const hurry = file(
      'hurry.mjs',
      `const { setInterval } = globalThis;
      globalThis.setInterval = (act, time) => setInterval(act, time === 30_000 ? 20 : time);
      await import(${JSON.stringify(program)});`,
    );
    writeFileSync(fill, Buffer.alloc(16 * 1024));
    const all = await serveBy([hurry], '--expect', `paris=${FAR}`, '--state-dir', directory);
    await all.ready();
    const writes = (result: string, least: number) =>
      until(
        all.metrics,
        ({ value }) => (value('xfrm_serve_state_writes_total', { result }) ?? 0) >= least,
      );
    const { value } = await writes('error', 3);
    assert.equal(value('xfrm_serve_state_writes_total', { result: 'success' }), 0);
    assert.equal(value('xfrm_tunnel_up', { tunnel: 'paris' }), 0);
    rmSync(fill);
    await all.said('the state is saved again');
    await writes('success', 2);
    mount('ro');
    await all.said('EROFS');
    const { status, err } = await all.end();
    assert.equal(status, 0, err);
    assert.equal(err.match(/could not be saved: ENOSPC/g)?.length, 1, err);
    assert.equal(err.match(/could not be saved: EROFS/g)?.length, 1, err);
    const failed = run('serve', '--listen', '127.0.0.1:0', '--state-dir', directory);
    assert.equal(failed.status, 1);
    assert.match(
      failed.stderr,
      /cannot use the state directory .*small: EROFS: read-only file system/,
    );
  } finally {
    while (mounts-- > 0) execFileSync('umount', ['--lazy', directory]);
  }
});

test('startup errors are reported', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => taken.once('listening', done));
  const { port } = taken.address() as { port: number };
  for (const [args, status, text] of [
    [
      ['--listen', `127.0.0.1:${port}`],
      1,
      /cannot listen on .*: another program listens there; choose/,
    ],
    [['--listen', '203.0.113.1:9786'], 1, /this host has no such address/],
    [
      ['--listen', 'nonsense'],
      2,
      /invalid value 'nonsense' for --listen: expected an address and a port/,
    ],
    [['--config', file('bad.json', '{\n "x": 1}')], 1, /bad\.json:2:2: unknown member "x"/],
    [['--config', join(folder, 'none.json')], 1, /none\.json: no such file/],
    [['--tls-cert', 'x'], 2, /'--tls-cert' and '--tls-key' must be given together/],
    [['--tls-cert', 'x', '--tls-key', 'y'], 1, /x: no such file/],
    [
      ['--tls-cert', file('a.pem', 'x'), '--tls-key', file('b.pem', 'y')],
      1,
      /a\.pem: not a certificate in PEM/,
    ],
    [['--token-file', file('short', 'x')], 1, /at least 16 printable characters/],
    [['--refresh', '10ms'], 2, /'--refresh' must be at least 1s/],
    [['--expect', 'paris=nowhere'], 2, /invalid value 'nowhere' for remote/],
  ] as const) {
    const found = run('serve', ...args);
    assert.equal(found.status, status, `${args}: ${found.stderr}`);
    assert.match(found.stderr, text);
    assert.equal(found.stdout, '');
  }
  taken.close();
  const { status, stderr } = runWithoutPrivilege('serve', '--listen', '127.0.0.1:0');
  assert.equal(status, 3, stderr);
  assert.match(stderr, /EPERM.*\n.*CAP_NET_ADMIN/);
});

test('an unexpected tunnel is named by its ends, in each namespace', async () => {
  ip('netns', 'add', NETNS);
  addPoliciesThere();
  addPolicies(7);
  const all = await serve('--all-netns');
  await all.ready();
  const { families } = await all.metrics();
  const labels = families.get('xfrm_tunnel_up')?.samples.map((one) => one.labels);
  const tunnel = `${HERE} > ${FAR}`;
  assert.deepEqual(labels, [{ tunnel }, { netns: NETNS, tunnel }]);
  const { tunnels } = await all.json(`/api/tunnels?netns=${NETNS}`);
  assert.equal(tunnels[0].key, `netns/${NETNS}/${tunnel} reqid 7`);
  const details = await all.json(`/api/tunnels/${encodeURIComponent(tunnels[0].key)}`);
  assert.equal(details.tunnel.netns, NETNS);
  await all.end();
});
