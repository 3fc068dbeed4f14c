/**
 * Inputs for the decoders, as fast-check makes and shrinks them: messages from the tables, recorded
 * ones, and both after some changes.
 * @module
 */
import fc from 'fast-check';
import { captures } from '../../test/unit/captures.ts';
import { answers, events, type Kind, messageBytes, requests } from '../../test/unit/generate.ts';
import { kinds as routeKinds, routeBytes } from '../../test/unit/generate-route.ts';
import { Random } from '../../test/unit/random.ts';
import { FAMILIES, type Protocol } from './datagrams.ts';
import { KINDS_OF_CHANGE, type Mutation, mutate } from './mutate.ts';

const recorded = {
  xfrm: captures('xfrm').map(({ bytes }) => bytes),
  route: captures('route').map(({ bytes }) => bytes),
} as const;
const xfrmKinds: readonly Kind[] = [...events, ...answers, ...requests];

/** Where a datagram comes from: of a recording, or of a kind of message and a seed. */
type Source = readonly [recorded: boolean, which: number, seed: number];

/** A message from the tables, as the kernel or a program could have made it. */
function generated(protocol: Protocol, which: number, seed: number): Uint8Array {
  const random = new Random(seed);
  if (protocol === 'xfrm') {
    return messageBytes(xfrmKinds[which % xfrmKinds.length] as Kind, random);
  }
  const kind = routeKinds[which % routeKinds.length];
  return kind === undefined ? new Uint8Array(0) : routeBytes(kind, random);
}

function datagramOf(protocol: Protocol, [fromRecording, which, seed]: Source): Uint8Array {
  if (!fromRecording) return generated(protocol, which, seed);
  return recorded[protocol][which % recorded[protocol].length] ?? new Uint8Array(0);
}

const protocol = fc.constantFrom<Protocol>('xfrm', 'xfrm', 'route');
const source: fc.Arbitrary<Source> = fc.tuple(
  fc.boolean(),
  fc.noBias(fc.nat(0xffff)),
  fc.noBias(fc.nat()),
);
const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.nat(KINDS_OF_CHANGE - 1),
  fc.noBias(fc.nat(0xffffff)),
  fc.noBias(fc.nat()),
  fc.boolean(),
);

/** A datagram, and whether it is as its sender made it. */
export interface Input {
  readonly protocol: Protocol;
  readonly bytes: Uint8Array;
  readonly generated: boolean;
  readonly truncated: boolean;
}

/** Any datagram. */
export const datagram: fc.Arbitrary<Input> = fc
  .tuple(protocol, source, source, fc.array(mutation, { maxLength: 6 }), fc.noBias(fc.nat(9)))
  .map(([protocol, of, other, mutations, cut]) => {
    const bytes = datagramOf(protocol, of);
    const unchanged = mutations.length === 0;
    return {
      protocol,
      bytes: unchanged
        ? bytes
        : mutate(bytes, mutations, datagramOf(protocol, other), FAMILIES[protocol]),
      generated: unchanged && !of[0],
      truncated: cut === 0,
    };
  });
