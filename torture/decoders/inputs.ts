/**
 * Inputs for the decoders, generated and shrunk by fast-check: messages from the tables, recorded
 * ones, and both after some mutations.
 * @module
 */
import fc from 'fast-check';
import { captures } from '../../test/unit/captures.ts';
import { answers, events, type Kind, messageBytes, requests } from '../../test/unit/generate.ts';
import {
  type Kind as RouteKind,
  routeBytes,
  kinds as routeKinds,
} from '../../test/unit/generate-route.ts';
import { Random } from '../../test/unit/random.ts';
import { type Protocol, TRACED } from './datagrams.ts';
import { KINDS_OF_CHANGE, type Mutation, mutate } from './mutate.ts';

const recorded = {
  xfrm: captures('xfrm').map(({ bytes }) => bytes),
  route: captures('route').map(({ bytes }) => bytes),
} as const;
const xfrmKinds: readonly Kind[] = [...events, ...answers, ...requests];

/** Source of a datagram: a recording, or a kind of message and a seed. */
type Source = readonly [recorded: boolean, which: number, seed: number];

/** Generated messages of each kind: each is mutated many times, which is cheaper than generating one. */
const SEEDS = 16;

/** A message from the tables, as the kernel or a program could have made it. */
function generated(protocol: Protocol, which: number, seed: number): Uint8Array {
  const random = new Random(seed);
  if (protocol === 'xfrm') {
    return messageBytes(xfrmKinds[which % xfrmKinds.length] as Kind, random);
  }
  return routeBytes(routeKinds[which % routeKinds.length] as RouteKind, random);
}

const protocol = fc.constantFrom<Protocol>('xfrm', 'xfrm', 'route');
const source: fc.Arbitrary<Source> = fc.tuple(
  fc.boolean(),
  fc.noBias(fc.nat(0xffff)),
  fc.noBias(fc.nat(SEEDS - 1)),
);
const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.nat(KINDS_OF_CHANGE - 1),
  fc.noBias(fc.nat(0xffffff)),
  fc.noBias(fc.nat()),
  fc.boolean(),
);

/** A datagram with its known properties. */
export interface Input {
  readonly protocol: Protocol;
  readonly bytes: Uint8Array;
  /** Exactly as its sender made it. */
  readonly unchanged: boolean;
  /** Whether it was cut off when it was read. */
  readonly truncated: boolean;
}

/** Any datagram. @param seed for the messages generated from the tables */
export function datagrams(seed: number): fc.Arbitrary<Input> {
  const made = new Map<string, Uint8Array>();
  const datagramOf = (protocol: Protocol, [fromRecording, which, number]: Source) => {
    const of = recorded[protocol];
    if (fromRecording) return of[which % of.length] as Uint8Array;
    const kinds = protocol === 'xfrm' ? xfrmKinds.length : routeKinds.length;
    const key = `${protocol} ${which % kinds} ${number}`;
    let bytes = made.get(key);
    if (bytes === undefined) {
      bytes = generated(protocol, which, seed + number);
      made.set(key, bytes);
    }
    return bytes;
  };
  return fc
    .tuple(protocol, source, source, fc.array(mutation, { maxLength: 6 }), fc.noBias(fc.nat(9)))
    .map(([protocol, of, other, mutations, cut]) => {
      const bytes = datagramOf(protocol, of);
      const unchanged = mutations.length === 0;
      return {
        protocol,
        bytes: unchanged
          ? bytes
          : mutate(bytes, mutations, datagramOf(protocol, other), TRACED[protocol]),
        unchanged: unchanged && !of[0],
        truncated: cut === 0,
      };
    });
}
