/**
 * Keys of a terminal, one by one.
 * @module
 */

/** What a key is called here: its character, or the name of a special one. */
const NAMES: Readonly<Record<string, string>> = {
  '\x03': 'ctrl-c',
  '\x1a': 'ctrl-z',
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x1b[5~': 'page-up',
  '\x1b[6~': 'page-down',
  '\x1b[H': 'home',
  '\x1b[F': 'end',
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: special keys begin with it
const KEY = /\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|[\s\S]/gu;

/** The keys in what a terminal sent. */
export const keysOf = (text: string): string[] =>
  [...text.matchAll(KEY)].map(([key]) => NAMES[key] ?? key);

/**
 * Hears keys as they are pressed; nothing where standard input is no terminal.
 *
 * @returns what ends it, and gives the terminal its lines back
 */
export function hearKeys(heard: (key: string) => void): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => {};
  const data = (text: string) => {
    for (const key of keysOf(text)) heard(key);
  };
  stdin.setRawMode(true);
  stdin.setEncoding('utf8').on('data', data).resume();
  return () => {
    stdin.off('data', data).pause();
    stdin.setRawMode(false);
  };
}
