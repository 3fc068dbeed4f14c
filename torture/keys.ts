/**
 * Checks that keys appear nowhere unless requested by name. Real SAs get keys known here, and everything
 * that the library and the command output about them is searched for those. Needs ESP.
 * @module
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { channel, subscribe as tap, unsubscribe as untap } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { formatJson } from '../lib/cli/json.ts';
import {
  XFRM_MSG_DELSA,
  XFRM_MSG_MAPPING,
  XFRM_MSG_NEWSA,
  XFRM_MSG_UPDSA,
  XFRMA_IF_ID,
} from '../lib/constants.ts';
import {
  MultiNamespaceXfrmMonitor,
  subscribe,
  TunnelMonitor,
  XfrmClient,
  XfrmMonitor,
} from '../lib/index.ts';
import { addon } from '../lib/socket/addon.ts';
import type { SocketMessageRecord, SocketOpenRecord } from '../lib/socket/index.ts';
import { NetlinkSocket } from '../lib/socket.ts';
import { encodeXfrm, MessageWriter } from '../lib/xfrm.ts';
import { occurrencesInFile } from '../test/kernel/memory.ts';
import { misplaced } from '../test/unit/misplaced.ts';
import { cooked, pcap } from '../test/unit/pcap.ts';
import { Random } from '../test/unit/random.ts';
import { keyIn } from './keys/search.ts';
import { finding, orders, report } from './part.ts';

const { seed } = orders();
const random = new Random(seed);
const program = join(import.meta.dirname, '../../bin/netlink-xfrm.js');

/** Keys made of bytes that are rare elsewhere: none is zero, and no two adjacent ones are equal. */
const key = (length: number): Uint8Array => {
  const bytes = random.bytes(length).map((byte) => byte | 0x80);
  return bytes;
};
const KEYS = { aead: key(20), crypt: key(32), auth: key(32), authTrunc: key(64), second: key(36) };
const all = Object.values(KEYS);

const ends = { saddr: '192.0.2.1', daddr: '192.0.2.2', proto: 'esp', mode: 'tunnel' } as const;
const gcm = (key: Uint8Array) => ({ name: 'rfc4106(gcm(aes))', icvBits: 128, key });
const STATES = [
  { ...ends, spi: 0x1001, reqid: 7, aead: gcm(KEYS.aead) },
  {
    ...ends,
    spi: 0x1002,
    reqid: 7,
    crypt: { name: 'cbc(aes)', key: KEYS.crypt },
    auth: { name: 'hmac(sha256)', key: KEYS.auth },
  },
  {
    ...ends,
    spi: 0x1003,
    crypt: { name: 'ecb(cipher_null)', key: new Uint8Array(0) },
    authTrunc: { name: 'hmac(sha512)', truncBits: 256, key: KEYS.authTrunc },
  },
  { ...ends, spi: 0x1004, aead: gcm(KEYS.second), lifetime: { hardAddSeconds: 1 } },
] as const;

/** Adds all SAs, changes one, lets one expire, queries and deletes: every message that has a key. */
async function act(client: XfrmClient): Promise<void> {
  for (const state of STATES) await client.addState(state);
  await client.addPolicy({ dir: 'out', selector: { daddr: '10.0.0.0', prefixlenD: 8 } });
  await client.updateState({ ...STATES[0], lifetime: { softAddSeconds: 60 } });
  await client.expireState({ daddr: ends.daddr, spi: 0x1001 }, false);
  for (const spi of [0x1001, 0x1002, 0x1003]) await client.getState({ daddr: ends.daddr, spi });
  await client.deleteState({ daddr: ends.daddr, spi: 0x1002 });
  await client.flushPolicies();
  await client.flushStates();
}

let outputs = 0;
let characters = 0;

/** Searches a text for keys. */
function search(where: string, text: string): void {
  outputs++;
  characters += text.length;
  for (const [name, bytes] of Object.entries(KEYS)) {
    const how = keyIn(text, bytes);
    if (how !== undefined)
      finding(`the ${name} key is in ${where}, as ${how}: ${text.slice(0, 400)}`);
  }
}

/** Searches everything that a program may print of a value to inspect it. */
function searchValue(where: string, value: unknown): void {
  search(`inspect of ${where}`, inspect(value, { depth: 20, showHidden: true, getters: true }));
  search(`text of ${where}`, String(value));
  const plain = (_: string, one: unknown) => (typeof one === 'bigint' ? `${one}` : one);
  search(`JSON of ${where}`, JSON.stringify(value, plain) ?? '');
  search(`a clone of ${where}`, inspect(structuredClone(value), { depth: 20, showHidden: true }));
  if (value instanceof Error) search(`stack of ${where}`, `${value.stack} ${inspect(value.cause)}`);
}

/** Checks that the search works: where keys were requested, it finds them. */
function shown(where: string, text: string, keys = [KEYS.aead, KEYS.crypt, KEYS.auth]): void {
  for (const bytes of keys) {
    if (keyIn(text, bytes) === undefined) finding(`${where} shows no key, or the search is blind`);
  }
}

const environment = { ...process.env, NETLINK_XFRM_DEBUG: '1', TZ: 'UTC' };

/** Starts the command and waits until it listens; `end` returns all its output. */
async function command(...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [program, ...args], { env: environment });
  const closed = once(child, 'close');
  let [out, err] = ['', ''];
  let heard = () => {};
  const said = async (what: () => boolean) => {
    while (!what()) await new Promise<void>((resolve) => (heard = resolve));
  };
  child.stdout?.setEncoding('latin1').on('data', (text) => {
    out += text;
    heard();
  });
  child.stderr?.setEncoding('latin1').on('data', (text) => {
    err += text;
    heard();
  });
  // A list with --watch reports on standard output that it is complete.
  await said(() => err.includes('listening to') || out.includes('synced'));
  return {
    name: args.join(' '),
    async end(last: string) {
      await said(() => out.includes(last));
      child.kill('SIGINT');
      await closed;
      return { out, err };
    },
  };
}

/** Runs the command to completion. */
function run(...args: string[]): { out: string; err: string } {
  const { stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'latin1',
    env: environment,
  });
  return { out: stdout, err: stderr };
}

/** Commands that listen meanwhile, and those that list meanwhile. */
async function commands(client: XfrmClient): Promise<void> {
  const quiet = [
    ['monitor'],
    ['monitor', '--json', '--route', '--who'],
    ['state', '--watch', '--json'],
    ['monitor', '--tunnels', '--json'],
    ['tunnels', '--watch', '--json', '--acquires'],
  ];
  const running = await Promise.all(quiet.map((args) => command(...args)));
  const loud = await command('monitor', '--json', '--show-keys');
  await act(client);
  for (const one of running) {
    const { out, err } = await one.end(one.name.startsWith('tunnels') ? '"down"' : 'FLUSHSA');
    search(`output of ${one.name}`, out);
    search(`errors of ${one.name}`, err);
    assert(err.includes('XFRMA_ALG_AEAD=[92 bytes]'), 'the debug output shows that there is a key');
  }
  const { out, err } = await loud.end('FLUSHSA');
  shown('monitor --show-keys', out);
  search('errors of monitor --show-keys', err);
  for (const state of STATES.slice(0, 3)) await client.addState(state);
  for (const args of [
    ['state'],
    ['state', '--json'],
    ['policy', '--json'],
    ['state', 'spi=0x1001'],
    ['tunnels'],
    ['tunnels', '--json'],
    ['check', '--json', '--expect', `x=${ends.daddr}`],
    ['wait', '--for', 'down', ends.daddr, '--timeout', '1s'],
  ]) {
    const { out, err } = run(...args);
    search(`output of ${args.join(' ')}`, out + err);
  }
  shown('state --show-keys', run('state', '--json', '--show-keys').out);
  for (const args of [
    ['state', '--show-keys'],
    ['monitor', 'spi=x'],
    ['state', 'nothing'],
  ]) {
    search(`refusal of ${args.join(' ')}`, Object.values(run(...args)).join(''));
  }
}

/** Events, changes, dumps and records within a program. */
async function values(client: XfrmClient): Promise<void> {
  const kinds = ['open', 'close', 'message', 'overrun'].map((kind) => `netlink-xfrm:${kind}`);
  const record = (told: unknown, name: string | symbol) => searchValue(String(name), told);
  for (const name of kinds) tap(name, record);
  assert(channel('netlink-xfrm:message').hasSubscribers);
  await using plain = subscribe({ groups: ['sa', 'expire', 'policy', 'acquire', 'link'] });
  await using withKeys = subscribe({ groups: ['sa'], keys: true });
  await using monitor = await XfrmMonitor.open();
  await using monitors = await MultiNamespaceXfrmMonitor.open({ namespaces: { own: undefined } });
  await using tunnels = await TunnelMonitor.open({ acquires: true });
  let asked = '';
  let events = 0;
  let ended = () => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  plain.on('event', (event) => {
    events++;
    searchValue(event.kind, event);
    if (event.kind === 'FLUSHSA') ended();
  });
  withKeys.on('event', (event) => {
    // Requested with `keys`, but shown only by `bytes()`.
    searchValue(`${event.kind} with keys`, event);
    if (event.kind !== 'NEWSA') return;
    const { aead, crypt, auth } = event.state;
    for (const one of [aead, crypt, auth]) asked += `${one?.key?.bytes().join(' ')}\n`;
  });
  monitor.on('change', (change) => searchValue(`change ${change.kind}`, change));
  monitors.on('change', (change) => searchValue(`change ${change.kind} of a namespace`, change));
  tunnels.on('change', (change) => searchValue(`change ${change.kind} of a tunnel`, change));
  for (const state of STATES.slice(0, 3)) await client.addState(state);
  await monitor.refresh();
  searchValue('snapshot', monitor.snapshot());
  await tunnels.refresh();
  assert(tunnels.tunnels.size > 0, 'no tunnel');
  searchValue('tunnels', tunnels.snapshot());
  search(
    'inspect of the monitor',
    inspect([monitor, monitors, tunnels, plain, withKeys, client], { depth: 20, showHidden: true }),
  );
  for await (const state of client.listStates()) searchValue('a listed SA', state);
  let listed = '';
  for await (const state of client.listStates({}, { keys: true })) {
    searchValue('a listed SA with keys', state);
    listed += `${state.aead?.key?.bytes().join(' ')}\n${state.crypt?.key?.bytes().join(' ')}\n`;
  }
  await client.flushStates();
  await end;
  await act(client);
  await monitor.refresh();
  for (const name of kinds) untap(name, record);
  shown('keys: true', asked);
  shown('listStates with keys', listed, [KEYS.aead, KEYS.crypt]);
  assert(events > 8, `${events} events`);
}

/**
 * Turns the kernel's messages into what a newer kernel might send: unknown messages and attributes, or known ones in
 * another place, containing the keys. It does so in the receive buffer, before anything is decoded.
 */
class Planter implements Disposable {
  planted = 0;
  /** The next two sockets opened: those of the subscription and of the monitor. */
  readonly #sockets: number[] = [];

  constructor() {
    tap('netlink-xfrm:open', this.#open);
    tap('netlink-xfrm:message', this.#plant);
  }

  readonly #open = (record: unknown): void => {
    if (this.#sockets.length < 2) this.#sockets.push((record as SocketOpenRecord).socket);
  };

  readonly #plant = (record: unknown): void => {
    const { direction, socket } = record as SocketMessageRecord;
    if (direction !== 'received' || !this.#sockets.includes(socket)) return;
    const { arena, arenaBytes } = addon();
    const [offset = 0, length = 0] = new Uint32Array(arena(), arenaBytes, 2);
    const bytes = Buffer.from(arena(), offset, length);
    const type = bytes.readUInt16LE(4);
    // Messages that end the parts of this run, and dumps, remain unchanged.
    if (type !== XFRM_MSG_NEWSA && type !== XFRM_MSG_UPDSA && type !== XFRM_MSG_DELSA) return;
    const at = all.reduce((found, key) => (found < 0 ? bytes.indexOf(key) : found), -1);
    if (at < 0) return;
    this.planted++;
    switch (this.planted % 6) {
      case 0: // an unknown message
        bytes.writeUInt16LE(60, 4);
        break;
      case 1: // an unknown attribute in place of each algorithm
      case 2: // the same, with the nested flag
        for (const name of ['rfc4106', 'cbc(', 'hmac(']) {
          const found = bytes.indexOf(name);
          if (found > 4)
            bytes.writeUInt16LE(4000 | (this.planted % 6 === 2 ? 0x8000 : 0), found - 2);
        }
        break;
      case 3: // a key after a number
        for (const name of ['rfc4106', 'cbc(', 'hmac(']) {
          const found = bytes.indexOf(name);
          if (found > 4) bytes.writeUInt16LE(XFRMA_IF_ID, found - 2);
        }
        break;
      case 4: // another message, in which algorithms do not belong
        bytes.writeUInt16LE(XFRM_MSG_MAPPING, 4);
        break;
      case 5: // an attribute that ends within the key
        bytes.writeUInt16LE(80, 240);
    }
  };

  [Symbol.dispose](): void {
    untap('netlink-xfrm:open', this.#open);
    untap('netlink-xfrm:message', this.#plant);
  }
}

/** Checks what a newer kernel might send. */
async function planted(client: XfrmClient): Promise<void> {
  using planter = new Planter();
  const record = (told: unknown, name: string | symbol) => searchValue(String(name), told);
  tap('netlink-xfrm:message', record);
  await using plain = subscribe({ groups: ['sa', 'expire', 'policy'] });
  await using monitor = await XfrmMonitor.open();
  let events = 0;
  let heard = () => {};
  const end = new Promise<void>((resolve) => {
    heard = resolve;
  });
  plain.on('event', (event) => {
    events++;
    searchValue(`${event.kind} with what was planted`, event);
    search(`JSON of ${event.kind}`, formatJson(event, false));
    // The marker that ends it.
    if (event.kind === 'NEWPOLICY' && event.policy.dir === 'in') heard();
  });
  // A listener that throws: the error must not reveal anything received.
  const thrown: unknown[] = [];
  const caught = (error: unknown) => thrown.push(error);
  process.on('uncaughtException', caught);
  plain.on('event', (event) => {
    if (event.kind === 'unknown') throw new Error(`cannot use ${inspect(event, { depth: 9 })}`);
  });
  monitor.on('change', (change) => searchValue(`change ${change.kind}`, change));
  for (let times = 0; times < 6; times++) await act(client).catch(() => {});
  await monitor.refresh();
  searchValue('snapshot with what was planted', monitor.snapshot());
  await client.addPolicy({ dir: 'in', selector: { daddr: '10.0.0.0', prefixlenD: 8 } });
  await end;
  await client.flushPolicies();
  process.off('uncaughtException', caught);
  untap('netlink-xfrm:message', record);
  for (const error of thrown) searchValue('what a listener threw', error);
  assert(planter.planted > 20 && events > 20, `${planter.planted} planted, ${events} heard`);
}

/** Checks errors that occur while a key is being handled. */
async function errors(client: XfrmClient): Promise<void> {
  const [state] = STATES;
  await client.addState(state);
  const hex = Buffer.from(KEYS.aead).toString('hex');
  // biome-ignore lint/suspicious/noExplicitAny: what TypeScript would not let pass
  const wrong: Record<string, any> = {
    'there already': state,
    'no such algorithm': { ...state, spi: 1, aead: { ...state.aead, name: 'no(such)' } },
    'a key too long': { ...state, spi: 2, aead: gcm(KEYS.crypt) },
    'a wrong number of bits': { ...state, spi: 3, aead: { ...state.aead, keyBits: 8 } },
    'a key as text': { ...state, spi: 4, aead: { ...state.aead, key: hex } },
    'a key as an array': { ...state, spi: 5, aead: { ...state.aead, key: [...KEYS.aead] } },
    'a key as a buffer': { ...state, spi: 6, aead: { ...state.aead, key: KEYS.aead.buffer } },
    'a key as a view': {
      ...state,
      spi: 7,
      aead: { ...state.aead, key: new DataView(KEYS.aead.buffer) },
    },
    'a key in place of an algorithm': { ...state, spi: 9, aead: KEYS.aead },
    'a key under another name': { ...state, spi: 10, aead: { name: 'x', Key: KEYS.aead } },
    'a wrong field beside it': { ...state, spi: 11, mode: 'nothing' },
    'two algorithms': { ...state, spi: 12, auth: { name: 'hmac(sha256)', key: KEYS.auth } },
    'a wrong address': { ...state, spi: 13, daddr: 'nowhere' },
  };
  let refused = 0;
  for (const [name, input] of Object.entries(wrong)) {
    try {
      await client.addState(input);
    } catch (error) {
      refused++;
      searchValue(`the error about ${name}`, error);
    }
    try {
      encodeXfrm(new MessageWriter(), { kind: 'NEWSA', state: input });
    } catch (error) {
      searchValue(`the encoder's error about ${name}`, error);
    }
  }
  // A key in place of each property in turn.
  const full = {
    ...state,
    ...{ family: 'inet', flags: ['noecn'], replayWindow: 32, mark: { value: 1, mask: 1 }, ifId: 1 },
    lifetime: { softBytes: 1, hardAddSeconds: 9 },
    selector: { saddr: '10.0.0.0', prefixlenS: 8, proto: 17, sport: 1, sportMask: 1 },
    encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: '192.0.2.9' },
    replayEsn: { bitmap: [0], replayWindow: 32 },
    securityContext: { label: 'x' },
    offload: { ifindex: 1, flags: ['inbound'] },
  };
  const everywhere = [KEYS.aead, hex, `0x${hex}`].flatMap((one) => [...misplaced(full, one)]);
  for (const [path, input] of everywhere) {
    try {
      await client.addState(input as never);
      await client.flushStates();
    } catch (error) {
      refused++;
      searchValue(`the error about a key as ${path.join('.')}`, error);
    }
  }
  assert(refused > 40, `only ${refused} were refused`);
  await client.flushStates();
}

/** Prints recordings of what the kernel sent. */
async function recordings(client: XfrmClient): Promise<void> {
  await using socket = new NetlinkSocket({ protocol: 6 });
  socket.bind({ groups: 6 });
  const datagrams: Uint8Array[] = [];
  const heard = new Promise<void>((resolve) => {
    socket.receive((batch) => {
      for (let i = 0; i < batch.count; i++) datagrams.push(batch.copy(i));
      if (datagrams.some((one) => one[4] === 0x1c)) resolve(); // XFRM_MSG_FLUSHSA
    });
  });
  await act(client);
  await heard;
  // Truncated, for an error near a key; and with an unknown attribute.
  const cut = datagrams.map((one) => one.slice(0, one.length - 3));
  const unknown = datagrams.map((one) => {
    const copy = one.slice();
    const at = Buffer.from(copy).indexOf('rfc4106');
    if (at > 4) new DataView(copy.buffer).setUint16(at - 2, 4000, true);
    return copy;
  });
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  const files: Record<string, Uint8Array> = {
    'messages.nl': Buffer.concat(datagrams),
    'packets.pcap': pcap(datagrams.map((one) => cooked(6, one))),
    'cut.pcap': pcap(cut.map((one) => cooked(6, one))),
    'unknown.pcap': pcap(unknown.map((one) => cooked(6, one))),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const file = join(folder, name);
    writeFileSync(file, bytes);
    for (const format of ['text', 'json', 'iproute2']) {
      const { out, err } = run('replay', file, '-o', format);
      search(`replay -o ${format} of ${name}`, out + err);
    }
    if (!/^(messages|packets)/.test(name)) continue;
    shown(`replay --show-keys of ${name}`, run('replay', file, '-o', 'json', '--show-keys').out);
    shown(
      `replay -o iproute2 --show-keys`,
      run('replay', file, '-o', 'iproute2', '--show-keys').out,
    );
  }
  rmSync(folder, { recursive: true });
}

/** Pattern for core dumps in this kernel, followed by the PID. It is the lab's: no other program is affected. */
const CORE = '/tmp/netlink-xfrm-core';
writeFileSync('/proc/sys/kernel/core_pattern', `${CORE}.%p`);

/** Checks what memory contains after a batch, and after a request, in a process that does not know the key. */
async function memory(how: 'listen' | 'add' | 'dump', client: XfrmClient): Promise<void> {
  const complement = Buffer.from(KEYS.aead.map((byte) => ~byte)).toString('hex');
  const script = join(import.meta.dirname, 'keys/memory.js');
  // The shell enables core dumps, then execs the process.
  const run = ['-c', 'ulimit -c unlimited; exec "$@"', 'sh', process.execPath];
  const child = spawn('/bin/sh', [...run, script, how, complement], {
    // Node prints a native stack trace when it aborts.
    stdio: ['ignore', 'pipe', how === 'dump' ? 'ignore' : 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  const closed = once(child, 'close');
  while (!out.includes('\n')) await Promise.race([once(child.stdout, 'data'), closed]);
  if (how === 'listen') {
    await client.addState(STATES[0]);
    await client.flushStates();
  }
  if (how === 'dump') {
    // The same key repeatedly, until the process has ended in the middle of it.
    let ended = false;
    child.once('exit', () => {
      ended = true;
    });
    for (let spi = 0x3000; !ended && spi < 0x3000 + 20_000; spi++) {
      await client.addState({ ...STATES[0], spi });
    }
    await client.flushStates();
  }
  await closed;
  const [before, after] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(before.before, 0, 'it has the key before');
  assert(after.during > 0, 'the search of memory is blind');
  if (how === 'dump') {
    const core = `${CORE}.${child.pid}`;
    const secret = Uint8Array.from(KEYS.aead, (byte) => ~byte);
    const [first = 0, last = 0, control = 0] = occurrencesInFile(core, [
      secret.subarray(0, 10),
      secret.subarray(-10),
      KEYS.aead,
    ]);
    rmSync(core);
    assert(control > 0, 'the search of the core dump is blind');
    if (first + last > 0) finding(`a core dump holds ${first + last} parts of the key`);
  }
  if (after.exposed > 0) finding(`${after.exposed} mappings with the key are in core dumps`);
  if (after.after > 0) finding(`after ${how} memory holds ${after.after} parts of the key`);
  if (after.arena) finding(`after ${how} the receive buffer is not empty`);
  outputs++;
}

execFileSync('ip', ['link', 'set', 'lo', 'up']);
const client = new XfrmClient();
const PARTS = { commands, values, planted, errors, recordings };
for (const [name, part] of Object.entries(PARTS)) {
  await client.flushStates();
  await part(client).catch((error) => finding(`${name}: ${error.stack}`));
}
await client.flushStates();
for (const how of ['listen', 'add', 'dump'] as const) {
  await memory(how, client).catch((error) => finding(`memory, ${how}: ${error.stack}`));
}
await client.close();
report({ 'outputs searched for keys': outputs, characters, keys: all.length });
