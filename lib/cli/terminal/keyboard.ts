/**
 * Single key presses on a terminal.
 * @module
 */
import type { Key } from 'node:readline';
import type { ReadStream } from 'node:tty';

/** Name of a key: its character, or for special keys the name of node:readline, prefixed with `ctrl-` if so pressed. */
const nameOf = (text: string | undefined, { name = '', ctrl }: Key): string =>
  ctrl ? `ctrl-${name}` : (text ?? name);

/**
 * Listens for key presses; does nothing if standard input is not a terminal.
 *
 * @returns a function that stops it and restores the terminal's line mode
 */
export function hearKeys(
  heard: (key: string) => void,
  stdin: Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'resume' | 'pause'> &
    NodeJS.ReadableStream = process.stdin,
): () => void {
  if (!stdin.isTTY) return () => {};
  const press = (text: string | undefined, key: Key) => heard(nameOf(text, key));
  // Loaded only if there is a terminal. It assembles escape sequences that arrive in pieces.
  process.getBuiltinModule('node:readline').emitKeypressEvents(stdin);
  stdin.setRawMode(true);
  stdin.on('keypress', press).resume();
  return () => {
    stdin.off('keypress', press).pause();
    stdin.setRawMode(false);
  };
}
