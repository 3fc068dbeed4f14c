/** A namespace's IPsec error counters, /proc/net/xfrm_stat. @module */
import { readSync } from 'node:fs';
import { checkedOptions } from '../base/argument.ts';
import { type NetnsReference, SystemError } from '../socket/index.ts';
import { HeldNamespace, type OpenFile, openFile, optionalNamespace } from '../socket/namespace.ts';

/**
 * All of the kernel's counters, under its names: `XfrmInNoStates`, `XfrmInStateSeqError` …
 * (Documentation/networking/xfrm/xfrm_proc.rst in the kernel says what each counts). In packets
 * since the namespace was created.
 */
export type XfrmStat = Readonly<Record<`Xfrm${string}`, bigint>>;

/** The thread's: /proc/self is that of the main thread, which stays in its namespace. */
const PATH = '/proc/thread-self/net/xfrm_stat';
/** Error codes that mean no counters: no such file, or hidden by `node --permission`. */
const ABSENT = new Set(['ENOENT', 'ERR_ACCESS_DENIED']);
/** Bytes per read; the file has 864 (seen on 6.18 and 7.2). */
const PIECE = 16 * 1024;

/** The file, kept open: it remains that of its namespace, and can be read any number of times. */
export class XfrmStatFile {
  #file: OpenFile | undefined;

  /**
   * @throws SystemError `EMFILE` … but not if the kernel has no such file (CONFIG_XFRM_STATISTICS),
   *   or there is no /proc
   */
  constructor({ netns }: HeldNamespace) {
    try {
      this.#file = openFile(netns, PATH);
    } catch (error) {
      if (!ABSENT.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  /** The current counters; undefined if the kernel has none, or once closed. @throws SystemError */
  read(): XfrmStat | undefined {
    if (this.#file === undefined) return undefined;
    const { descriptor } = this.#file;
    const piece = Buffer.alloc(PIECE);
    let text = '';
    try {
      for (;;) {
        const length = readSync(descriptor, piece, 0, PIECE, text.length);
        if (length === 0) return parseXfrmStat(text);
        text += piece.toString('latin1', 0, length);
      }
    } catch (error) {
      throw new SystemError((error as NodeJS.ErrnoException).errno as number, 'read');
    }
  }

  /** May be called repeatedly. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

/**
 * Reads the IPsec error counters.
 *
 * @param options `netns`: the network namespace; default: this thread's
 * @returns undefined if the kernel does not count them (CONFIG_XFRM_STATISTICS)
 * @throws TypeError or RangeError for an invalid option; SystemError if the namespace is missing,
 *   is not one, or may not be entered
 */
export async function readXfrmStat(
  options: { readonly netns?: NetnsReference | undefined } = {},
): Promise<XfrmStat | undefined> {
  const { netns } = checkedOptions('options', options, { netns: optionalNamespace });
  const held = new HeldNamespace(netns);
  let file: XfrmStatFile | undefined;
  try {
    file = new XfrmStatFile(held);
    return file.read();
  } finally {
    file?.close();
    held.close();
  }
}

/** Parses the file: a name and a number per line. Other lines are ignored. */
export function parseXfrmStat(text: string): XfrmStat {
  const lines = text.matchAll(/^\s*(\S+)\s+(\d+)\s*$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, count = '']) => [name, BigInt(count)]));
}
