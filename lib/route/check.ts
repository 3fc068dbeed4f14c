/**
 * Checks of the objects that callers pass. The encoders check each value; here is what they can't
 * see: properties that nothing is made of, because they are misspelled.
 * @module
 */
import type { Attribute, AttributeTable } from '../wire/attribute-table.ts';
import { EncodeError, shown } from '../wire/error.ts';
import type { Struct } from '../wire/struct.ts';

/** The properties an object may have, each with those of the object it holds. */
export type Shape = Map<string, Shape | undefined>;

/** The properties of a struct. */
export function shapeOfStruct(struct: Struct): Shape {
  const shape: Shape = new Map();
  for (const field of struct.fields) {
    if (field.type === 'struct' && field.inline) {
      for (const [name, inner] of shapeOfStruct(field.struct)) shape.set(name, inner);
    } else if (field.type !== 'reserved') {
      shape.set(field.name, field.type === 'struct' ? shapeOfStruct(field.struct) : undefined);
    }
  }
  return shape;
}

function shapeOfAttribute(of: Attribute): Shape | undefined {
  switch (of.type) {
    case 'struct':
    case 'list':
      return shapeOfStruct(of.struct);
    case 'nest':
      return joined(of.header, of.table);
    case 'nests':
      return shapeOfTable(of.table);
    case 'records':
      return joined(of.struct, of.table);
    default:
      return undefined;
  }
}

/** The properties of attributes: of a whole space, or of some in it. */
export function shapeOfTable({ attributes }: AttributeTable, names?: readonly string[]): Shape {
  const shape: Shape = new Map();
  for (const one of attributes) {
    if (one.type === 'pad' || names?.includes(one.name) === false) continue;
    if (one.type === 'choice') {
      for (const { name, table } of one.options) shape.set(name, shapeOfTable(table));
    }
    shape.set(one.name, shapeOfAttribute(one));
  }
  return shape.set('unknown', undefined);
}

/** The properties of a struct and of attributes beside it. */
export function joined(
  struct: Struct | undefined,
  table: AttributeTable,
  names?: readonly string[],
): Shape {
  const own = struct === undefined ? [] : shapeOfStruct(struct);
  return new Map([...own, ...shapeOfTable(table, names)]);
}

/**
 * Refuses properties that nothing is made of.
 *
 * @throws EncodeError that names the property, and those there are
 */
export function checkProperties(value: unknown, properties: Shape, path: readonly string[]): void {
  if (typeof value !== 'object' || value === null) {
    throw new EncodeError(`${shown(value)} is no object`, path);
  }
  for (const [name, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    const known = properties.get(name);
    if (known === undefined && !properties.has(name)) {
      const known = [...properties.keys()].join(', ');
      throw new EncodeError(`is no property here; there are ${known}`, [...path, name]);
    }
    if (known === undefined) continue;
    const items = Array.isArray(inner) ? inner : [inner];
    for (const [index, item] of items.entries()) {
      const at = Array.isArray(inner) ? `${name}[${index}]` : name;
      checkProperties(item, known, [...path, at]);
    }
  }
}
