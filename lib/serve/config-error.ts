/** A mistake in the configuration, with its line and column. @module */
import { findNodeAtLocation, type Node } from 'jsonc-parser';
import { mayHoldKey } from '../base/shown.ts';
import { printable } from '../wire/text.ts';

/** Members of objects by name, and of arrays by number. */
export type Path = readonly (string | number)[];

/** The configuration is wrong. The message says where, in the form FILE:LINE:COLUMN. */
export class ConfigError extends Error {
  readonly code = 'ERR_CONFIG';

  /** @param showsLine whether the message has the line, unless that may hold a secret */
  constructor(file: string, text: string, offset: number, reason: string, showsLine = true) {
    const before = text.slice(0, offset).split('\n');
    const line = before.length;
    const column = (before.at(-1) ?? '').length + 1;
    const all = text.split('\n')[line - 1] ?? '';
    const shown = printable(all.slice(0, 200));
    const lead = printable((before.at(-1) ?? '').slice(0, 200)).length;
    const caret =
      showsLine && lead < 200 && !mayHoldKey(all) ? `\n  ${shown}\n  ${' '.repeat(lead)}^` : '';
    super(`${printable(file)}:${line}:${column}: ${reason}${caret}`);
    this.name = 'ConfigError';
  }
}

/** Where the value at a path begins, or its name; of a missing one, the object that lacks it. */
export function offsetOf(root: Node | undefined, path: Path, isName: boolean): number {
  if (root === undefined) return 0;
  const node = findNodeAtLocation(root, [...path]);
  if (node === undefined) return path.length === 0 ? 0 : offsetOf(root, path.slice(0, -1), false);
  return (isName ? node.parent : node)?.offset ?? 0;
}
