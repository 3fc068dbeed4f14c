/**
 * Keys of a terminal, one by one.
 * @module
 */
import type { Key } from 'node:readline';
import type { ReadStream } from 'node:tty';

/** What a key is called: its character, of a special one the name that node:readline has for it, `ctrl-` before it. */
const nameOf = (text: string | undefined, { name = '', ctrl }: Key): string =>
  ctrl ? `ctrl-${name}` : (text ?? name);

/**
 * Hears keys as they are pressed; nothing where standard input is not a terminal.
 *
 * @returns what ends it, and gives the terminal its lines back
 */
export function hearKeys(
  heard: (key: string) => void,
  stdin: Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'> &
    NodeJS.ReadableStream = process.stdin,
): () => void {
  if (!stdin.isTTY) return () => {};
  const press = (text: string | undefined, key: Key) => heard(nameOf(text, key));
  // Loaded by who has a terminal only. It puts a sequence together that arrives in pieces.
  process.getBuiltinModule('node:readline').emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.on('keypress', press).resume();
  return () => {
    stdin.off('keypress', press).pause();
    stdin.setRawMode(false);
  };
}
