/**
 * `--expect`: the tunnels that should exist, from arguments or from a file.
 *
 *     --expect paris=198.51.100.7,reqid=5 --expect tunnels.json
 * @module
 */
import { readSmallFile } from '../../base/small-file.ts';
import { pointAt } from '../../monitor/filter-error.ts';
import { parseU32 } from '../../monitor/filter-keys.ts';
import { checkedExpected, type ExpectedTunnel, familyName } from '../../tunnel/expected.ts';
import { addressFamily } from '../../wire/address.ts';
import { brief, printable } from '../../wire/text.ts';

/** An invalid expectation. */
export class ExpectError extends Error {}

const address = (text: string) => (addressFamily(text) === undefined ? undefined : text);

/** The parts after the name, by field. */
const PARTS = {
  remote: ['remote', 'an IP address', address],
  local: ['local', 'an IP address', address],
  reqid: ['reqid', 'a number', parseU32],
  if_id: ['ifId', 'a number', parseU32],
  mark: ['mark', 'a mark without a mask', parseU32],
} as const satisfies Record<
  string,
  readonly [keyof ExpectedTunnel, string, (text: string) => string | number | undefined]
>;

/** Whether it is a file name rather than `NAME=…`. */
const isFile = (word: string) => /^[./]/.test(word) || !word.includes('=');

/**
 * Parses the tunnels described by arguments and files.
 *
 * @throws ExpectError that says which argument, or which entry of a file, is wrong
 */
export function readExpected(words: readonly string[]): ExpectedTunnel[] {
  const all = words.flatMap((word) => (isFile(word) ? readFile(word) : [parseExpected(word)]));
  try {
    checkedExpected(all);
  } catch (error) {
    // Each entry is valid by itself, so two must have the same name.
    throw new ExpectError(`--expect: ${plain(error, 'the tunnels')}`);
  }
  return all;
}

function parseExpected(word: string): ExpectedTunnel {
  const equals = word.indexOf('=');
  const wrong = (reason: string, at: number, length: number) =>
    new ExpectError(`--expect: ${pointAt(reason, [word], 0, at, length)}`);
  const usage = 'NAME=PEER, optionally with ,local=… ,reqid=… ,if_id=… ,mark=…';
  if (equals === 0) throw wrong(`the name before '=' is missing: expected ${usage}`, 0, 1);
  const found: Record<string, unknown> = { name: word.slice(0, equals) };
  let at = equals + 1;
  let localAt = at;
  for (const [index, text] of word.slice(at).split(',').entries()) {
    const bare = index === 0 && !text.includes('=');
    const [key = '', value = ''] = bare ? ['remote', text] : text.split(/=(.*)/s);
    const part = Object.hasOwn(PARTS, key) ? PARTS[key as keyof typeof PARTS] : undefined;
    if (part === undefined) {
      throw wrong(`unknown key '${brief(key)}': expected ${usage}`, at, text.length);
    }
    const [field, expected, parse] = part;
    if (Object.hasOwn(found, field)) {
      throw wrong(`duplicate key '${key}'`, at, text.length);
    }
    const parsed = parse(value);
    if (parsed === undefined) {
      const from = at + text.length - value.length;
      throw wrong(
        `invalid value '${brief(value)}' for ${key}: expected ${expected}`,
        from,
        value.length,
      );
    }
    if (field === 'local') localAt = at + text.length - value.length;
    found[field] = parsed;
    at += text.length + 1;
  }
  const { local, remote } = found as ExpectedTunnel;
  if (
    local !== undefined &&
    remote !== undefined &&
    addressFamily(local) !== addressFamily(remote)
  ) {
    const reason = `invalid value '${local}' for local: expected the address family of the peer (${familyName(remote)})`;
    throw wrong(reason, localAt, local.length);
  }
  return found;
}

/** Maximum size of a file of tunnels, in bytes. */
const LARGEST = 2 ** 20;

function readFile(path: string): ExpectedTunnel[] {
  const name = printable(path);
  let text: string;
  try {
    text = readSmallFile(path, LARGEST);
  } catch (error) {
    const { message } = error as Error;
    const hint = path.includes('/') ? '' : '; expected a file or NAME=PEER';
    throw new ExpectError(`--expect ${printable(message)}${hint}`);
  }
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new ExpectError(`--expect ${name}: invalid JSON: ${printable((error as Error).message)}`);
  }
  try {
    checkedExpected(list);
  } catch (error) {
    throw new ExpectError(`--expect ${name}: ${plain(error, 'the file')}`);
  }
  return list as ExpectedTunnel[];
}

/** Rephrases a library error in terms of the command: `[2].remote must be …`. */
const plain = (error: unknown, whole: string): string =>
  printable(
    (error as Error).message
      .replace('options.expected[', 'entry [')
      .replace('options.expected', whole)
      .replace('an array', 'an array of objects with name, remote, local, reqid, ifId, mark'),
  );
