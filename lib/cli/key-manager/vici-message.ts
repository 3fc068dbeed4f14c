/**
 * Messages of VICI, strongSwan's control protocol: sections of keys with values and lists of values
 * (src/libcharon/plugins/vici/README.md in strongSwan).
 * @module
 */

/** A section. Its names come from the daemon, so it has no prototype. */
export interface ViciSection {
  readonly [name: string]: string | readonly string[] | ViciSection;
}
interface Building {
  [name: string]: string | string[] | Building;
}

const SECTION_START = 1;
const SECTION_END = 2;
const KEY_VALUE = 3;
const LIST_START = 4;
const LIST_ITEM = 5;
const LIST_END = 6;
/** Sections within each other; strongSwan's answers have four. */
const MOST_DEPTH = 32;

/** Parses a message. @throws RangeError for one that is damaged */
export function parseViciMessage(bytes: Buffer): ViciSection {
  let at = 0;
  const take = (length: number): Buffer => {
    if (bytes.length - at < length) throw new RangeError('a message of VICI is cut off');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const name = () => take(take(1).readUInt8()).toString('utf8');
  const value = () => take(take(2).readUInt16BE()).toString('utf8');
  const root: Building = Object.create(null);
  const open: Building[] = [root];
  let list: string[] | undefined;
  while (at < bytes.length) {
    const type = take(1).readUInt8();
    const section = open.at(-1) as Building;
    if (list !== undefined && type !== LIST_ITEM && type !== LIST_END) {
      throw new RangeError('a list in a message of VICI does not end');
    }
    if (type === SECTION_START && open.length < MOST_DEPTH) {
      const inner: Building = Object.create(null);
      section[name()] = inner;
      open.push(inner);
    } else if (type === SECTION_END && open.length > 1) open.pop();
    else if (type === KEY_VALUE) section[name()] = value();
    else if (type === LIST_START) {
      list = [];
      section[name()] = list;
    } else if (type === LIST_ITEM && list !== undefined) list.push(value());
    else if (type === LIST_END && list !== undefined) list = undefined;
    else throw new RangeError(`unexpected element ${type} in a message of VICI`);
  }
  if (open.length > 1 || list !== undefined) throw new RangeError('a message of VICI is cut off');
  return root;
}

/** The sections within one. */
export const sectionsOf = (section: ViciSection | undefined): [name: string, ViciSection][] =>
  Object.entries(section ?? {}).filter(
    (one): one is [string, ViciSection] => typeof one[1] === 'object' && !Array.isArray(one[1]),
  );

/** A value; undefined if it is missing, or a list or section. */
export function textOf(section: ViciSection, name: string): string | undefined {
  const value = section[name];
  return typeof value === 'string' ? value : undefined;
}
