/**
 * Properties that must hold for text and arguments: filters, files of /proc, options, foreign names.
 * @module
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Filter } from '../../lib/monitor/filter.ts';
import { FilterError } from '../../lib/monitor/filter-error.ts';
import { filterHelp } from '../../lib/monitor/filter-keys.ts';
import { subscribe } from '../../lib/monitor/subscribe.ts';
import { parseXfrmStat } from '../../lib/monitor/xfrm-stat.ts';
import { encodeFilter } from '../../lib/socket/filter.ts';
import { parseStartTime } from '../../lib/socket/holders.ts';
import { NetlinkSocket } from '../../lib/socket/index.ts';
import { findInode } from '../../lib/socket/owner.ts';
import { parseNetwork } from '../../lib/wire/network.ts';
import { OpaqueBytes } from '../../lib/wire/opaque.ts';
import { printable } from '../../lib/wire/text.ts';

/** An input to try, and a check that throws a finding. */
export interface Words {
  readonly name: string;
  readonly inputs: fc.Arbitrary<unknown>;
  check(input: unknown): void;
}

function words<Input>(
  name: string,
  inputs: fc.Arbitrary<Input>,
  check: (input: Input) => void,
): Words {
  return { name, inputs, check: (input) => check(input as Input) };
}

/** Runs `act`, which may only throw errors of these classes. */
function mayThrow(act: () => void, ...classes: (new (...args: never[]) => Error)[]): void {
  try {
    act();
  } catch (error) {
    if (!classes.some((one) => error instanceof one)) throw error;
    assert((error as Error).message.length < 10_000, 'an error repeats all of its input');
  }
}

// Characters that control a terminal, and those that hide or reorder text.
const ACTS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}\u115f\u1160\u3164\uffa0]/u;
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
);
const value = fc.oneof(
  fc.constantFrom('10.0.0.0/8', '2001:db8::/32', '::ffff:1.2.3.4/96', '0x1001', 'esp', 'in', '1/2'),
  fc.nat().map(String),
  fc.ipV4Extended(),
  fc.ipV6(),
  fc.string({ maxLength: 12 }),
  anyText,
);
const term = fc
  .tuple(
    fc.oneof(fc.constantFrom(...filterHelp.map(([key]) => key)), anyText),
    fc.constantFrom('=', '!=', '', '!', '=='),
    fc.array(value, { maxLength: 4 }),
  )
  .map(([name, operator, values]) => `${name}${operator}${values.join(',')}`);

const OPTIONS = ['protocol', 'kernelOnly', 'netns', 'signal', 'batch', 'groups', 'keys'] as const;
const anything = fc.anything({ withBigInt: true, withTypedArray: true, withNullPrototype: true });
const options = fc.oneof(
  anything,
  fc.dictionary(
    fc.constantFrom(...OPTIONS, 'receiveBufferSize', 'highWaterMark'),
    fc.oneof(anything, fc.constantFrom<unknown>(-1, 1.5, 2 ** 32, '', '\0', 'sa', ['sa', 7])),
  ),
);

const line = fc.array(fc.oneof(anyText, fc.nat().map(String)), { maxLength: 12 });
const table = fc
  .array(line, { maxLength: 8 })
  .map((lines) => lines.map((one) => one.join(' ')).join('\n'));

export const WORDS: readonly Words[] = [
  words('foreign text', anyText, (text) => {
    const shown = printable(text);
    assert(!ACTS.test(shown), JSON.stringify(shown));
    assert(shown.length <= 9 * text.length);
  }),
  words('filters', fc.array(term, { maxLength: 4 }), (terms) => {
    mayThrow(() => {
      const filter = new Filter(terms);
      const header = { type: 16, flags: 0, seq: 0, portId: 0 };
      const time = { wall: 0, monotonic: 0 };
      const payload = new OpaqueBytes(0);
      const matched = filter.matches({ kind: 'unknown', protocol: 'xfrm', header, time, payload });
      assert.equal(typeof matched, 'boolean');
    }, FilterError);
  }),
  words('networks', fc.oneof(value, anyText), (text) => {
    const network = parseNetwork(text);
    assert(network === undefined || network.bits <= (network.family === 2 ? 32 : 128));
  }),
  words('/proc/net/xfrm_stat', table, (text) => {
    for (const count of Object.values(parseXfrmStat(text))) assert(count >= 0n);
  }),
  words('/proc/net/netlink', fc.tuple(table, fc.nat(31), fc.nat()), ([text, protocol, portId]) => {
    assert(['number', 'undefined'].includes(typeof findInode(text, protocol, portId)));
  }),
  words('/proc/PID/stat', table, (text) => {
    assert.equal(typeof parseStartTime(text), 'number');
  }),
  words('socket filters', fc.oneof(anything, fc.array(options)), (program) => {
    mayThrow(() => encodeFilter(program as never), TypeError, RangeError);
  }),
  words('arguments', options, (given) => {
    // A native TypeError ("cannot read properties of …") has no code; ours name the argument.
    const refused = (act: () => unknown) => {
      let made: unknown;
      try {
        made = act();
      } catch (error) {
        const { code } = error as { code?: unknown };
        if (typeof code === 'string' || /^options\./.test((error as Error).message)) return;
        throw error;
      }
      void (made as { close(): Promise<void> }).close();
    };
    refused(() => new NetlinkSocket(given as never));
    refused(() => subscribe(given as never));
  }),
];
