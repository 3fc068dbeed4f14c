/**
 * A protocol that does not exist, with every payload that tools/codec knows and XFRM does not use:
 * text, bytes, addresses of either length, nests in nests, lists of nests.
 * @module
 */
import type { Attribute, AttributeTable, Payload } from '../../lib/wire/attribute-table.ts';

const attribute = (number: number, name: string, payload: Payload): Attribute => ({
  ...payload,
  kernel: `TOY_${name.toUpperCase()}`,
  number,
  name,
  doc: '',
});

export const inner: AttributeTable = {
  name: 'Inner',
  doc: 'Two floors down.',
  attributes: [attribute(1, 'mtu', { type: 'u32' }), attribute(2, 'label', { type: 'string' })],
};

export const outer: AttributeTable = {
  name: 'Outer',
  doc: 'One floor down.',
  attributes: [
    attribute(1, 'kind', { type: 'string' }),
    attribute(2, 'inner', { type: 'nest', table: inner }),
  ],
};

export const toy: AttributeTable = {
  name: 'Toy',
  doc: 'The ground floor.',
  attributes: [
    attribute(1, 'bytes', { type: 'bytes' }),
    attribute(2, 'gateway', { type: 'ip' }),
    attribute(3, 'name', { type: 'string' }),
    attribute(4, 'outer', { type: 'nest', table: outer }),
    attribute(5, 'list', { type: 'nests', table: inner, first: 1 }),
    attribute(6, 'set', { type: 'flag' }),
  ],
};
