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
  readonly base: 'floor' | 'ip';
  readonly command: (listening: Listening) => readonly string[];
  readonly env?: (listening: Listening) => Readonly<Record<string, string>>;
  /** Number of events in a line of its output; undefined if it reports at its end. */
  readonly eventsIn?: (line: string) => number;
  /** After a loss, the changes it reports no longer match the events one to one. */
  readonly keepsState?: true;
  /** A loss ends its process. */
  readonly endsAtLoss?: true;
}

const root = join(import.meta.dirname, '../..');
const netlinkXfrm = join(root, 'bin/netlink-xfrm.js');

const common = ({ buffer, groups, source }: Listening) => [`${buffer}`, `${groups}`, source];
const native = (name: 'floor' | 'libnl') => (listening: Listening) => [
  program(name),
  ...common(listening),
];
const script = (name: string) => (listening: Listening) => [
  process.execPath,
  join(import.meta.dirname, `listeners/${name}.js`),
  ...common(listening),
];
/** For programs that request their buffer only with SO_RCVBUF. */
const preloaded = ({ buffer }: Listening) => ({
  LD_PRELOAD: program('buffer.so'),
  BENCH_RCVBUF: `${buffer}`,
});

/** The command, with a buffer given in MiB. */
const command =
  (...more: string[]) =>
  ({ buffer }: Listening) => [
    process.execPath,
    netlinkXfrm,
    ...['monitor', '--buffer', `${buffer / 2 ** 20}`, ...more],
  ];

const ALL: readonly Contestant[] = [
  { name: 'floor', title: 'C: receive, check, walk', base: 'floor', command: native('floor') },
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
  { name: 'raw', title: 'NetlinkSocket, raw', base: 'floor', command: script('raw') },
  { name: 'decoded', title: 'subscribe(), listener', base: 'floor', command: script('decoded') },
  { name: 'loop', title: 'subscribe(), loop', base: 'floor', command: script('loop') },
  {
    name: 'monitor',
    title: 'XfrmMonitor',
    base: 'floor',
    command: script('monitor'),
    keepsState: true,
  },
  {
    name: 'ip',
    title: 'ip xfrm monitor',
    base: 'ip',
    command: ({ buffer }) => ['ip', '-rcvbuf', `${buffer}`, 'xfrm', 'monitor'],
    env: preloaded,
    eventsIn: (line) => (/^\s/.test(line) ? 0 : 1),
  },
  {
    name: 'text',
    title: 'netlink-xfrm monitor',
    base: 'ip',
    command: command(),
    eventsIn: () => 1,
  },
  {
    name: 'json',
    title: 'netlink-xfrm monitor -o json',
    base: 'ip',
    command: command('-o', 'json'),
    eventsIn: (line) => (line.includes('"kind":"summary"') ? 0 : 1),
  },
];

/** Contestants by name, without those that are not available, in the order of the list. */
export function contestants(names?: readonly string[]): Contestant[] {
  const here = ALL.filter(({ name }) => name !== 'libnl' || existsSync(program('libnl')));
  return here.filter(({ name }) => names === undefined || names.includes(name));
}
