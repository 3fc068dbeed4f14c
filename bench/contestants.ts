/**
 * The contestants: programs that listen to IPsec events.
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { program } from './native.ts';

/** Parameters for a listener. */
export interface Listening {
  /** The receive buffer to ask for, in bytes. */
  readonly buffer: number;
  /** Mask of multicast groups. */
  readonly groups: number;
  /** Whose datagrams it accepts. */
  readonly source: 'kernel' | 'any';
}

/** A program that listens. */
export interface Contestant {
  readonly name: string;
  readonly title: string;
  /** The contestant it is compared with. */
  readonly base: string;
  readonly command: (listening: Listening) => readonly string[];
  readonly env?: (listening: Listening) => Readonly<Record<string, string>>;
  /** Number of events in a line of its output; undefined if it reports at its end. */
  readonly eventsIn?: (line: string) => number;
  /** After a loss, the changes it reports no longer match the events one to one. */
  readonly keepsState?: true;
  /** A loss ends its process. */
  readonly endsAtLoss?: true;
}

/** This version. */
const root = join(import.meta.dirname, '../..');

const common = ({ buffer, groups, source }: Listening) => [`${buffer}`, `${groups}`, source];
const native = (name: 'floor' | 'recvmsg' | 'libnl') => (listening: Listening) => [
  program(name),
  ...common(listening),
];
const script =
  (name: string, version = root) =>
  (listening: Listening) => [
    process.execPath,
    join(version, `dist/bench/listeners/${name}.js`),
    ...common(listening),
  ];
/** For programs that request their buffer only with SO_RCVBUF. */
const preloaded = ({ buffer }: Listening) => ({
  LD_PRELOAD: program('buffer.so'),
  BENCH_RCVBUF: `${buffer}`,
});

/** The command, with a buffer given in MiB. */
const command =
  (more: string[], version = root) =>
  ({ buffer }: Listening) => [
    process.execPath,
    join(version, 'bin/netlink-xfrm.js'),
    ...['monitor', '--buffer', `${buffer / 2 ** 20}`, ...more],
  ];

/** This package's contestants, in a version of it. */
const ours = (version?: string): Contestant[] => [
  { name: 'raw', title: 'NetlinkSocket, raw', base: 'floor', command: script('raw', version) },
  {
    name: 'decoded',
    title: 'subscribe(), listener',
    base: 'floor',
    command: script('decoded', version),
  },
  {
    name: 'ahead',
    title: 'subscribe(), listener, readAhead',
    base: 'floor',
    command: script('decoded', version),
    env: ({ buffer }) => ({ BENCH_READ_AHEAD: `${buffer}` }),
  },
  { name: 'loop', title: 'subscribe(), loop', base: 'floor', command: script('loop', version) },
  {
    name: 'monitor',
    title: 'XfrmMonitor',
    base: 'floor',
    command: script('monitor', version),
    keepsState: true,
  },
  {
    name: 'record',
    title: 'netlink-xfrm record',
    base: 'raw',
    command: script('record', version),
  },
  {
    name: 'text',
    title: 'netlink-xfrm monitor',
    base: 'ip',
    command: command([], version),
    eventsIn: () => 1,
  },
  {
    name: 'json',
    title: 'netlink-xfrm monitor -o json',
    base: 'ip',
    command: command(['-o', 'json'], version),
    eventsIn: (line) => (line.includes('"kind":"summary"') ? 0 : 1),
  },
];

/** The name of a contestant of the version that this one is compared with. */
export const otherName = (name: string): string => `${name}@`;

/** This version and another (its folder), each contestant next to its counterpart. */
const bothVersions = (other: string): Contestant[] =>
  ours(other).flatMap((theirs, i) => {
    const name = otherName(theirs.name);
    const own = ours()[i] as Contestant;
    return [
      { ...own, base: name },
      { ...theirs, name, base: name },
    ];
  });

const ALL: readonly Contestant[] = [
  { name: 'floor', title: 'C: recvmmsg, check, walk', base: 'floor', command: native('floor') },
  {
    name: 'recvmsg',
    title: 'C: recvmsg, check, walk',
    base: 'floor',
    command: native('recvmsg'),
  },
  { name: 'libnl', title: 'C: libnl-xfrm', base: 'floor', command: native('libnl') },
  {
    name: 'npm-netlink',
    title: 'npm package netlink, raw',
    base: 'floor',
    command: script('npm-netlink'),
    env: preloaded,
    // Its native code throws without a handler: "terminate called after …  Napi::Error".
    endsAtLoss: true,
  },
  ...ours().filter(({ base }) => base !== 'ip'),
  {
    name: 'ip',
    title: 'ip xfrm monitor',
    base: 'ip',
    command: ({ buffer }) => ['ip', '-rcvbuf', `${buffer}`, 'xfrm', 'monitor'],
    env: preloaded,
    eventsIn: (line) => (/^\s/.test(line) ? 0 : 1),
  },
  ...ours().filter(({ base }) => base === 'ip'),
];

/**
 * Contestants by name, without those that are not available, in the order of the list.
 *
 * @param other the folder of a version to compare this one with, and with nothing else
 */
export function contestants(names?: readonly string[], other?: string): Contestant[] {
  const all = other === undefined ? ALL : bothVersions(other);
  const here = all.filter(({ name }) => name !== 'libnl' || existsSync(program('libnl')));
  const wanted = new Set(names?.flatMap((name) => [name, otherName(name)]));
  return here.filter(({ name }) => names === undefined || wanted.has(name));
}
