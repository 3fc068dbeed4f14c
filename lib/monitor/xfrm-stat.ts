/** A namespace's counters of IPsec errors, /proc/net/xfrm_stat. @module */
import { readSync } from 'node:fs';
import { checkedOptions } from '../socket/argument.ts';
import { type NetnsReference, SystemError } from '../socket/index.ts';
import { HeldNamespace, type OpenFile, openFile, optionalNamespace } from '../socket/namespace.ts';

/**
 * Counters by the kernel's names, all that it has: `XfrmInNoStates`, `XfrmInStateSeqError` …
 * (Documentation/networking/xfrm/xfrm_proc.rst of the kernel says what each counts). Packets since the
 * namespace was made.
 */
export type XfrmStat = Readonly<Record<`Xfrm${string}`, bigint>>;

/** That of the thread: /proc/self is the process, whose main thread stays where it is. */
const PATH = '/proc/thread-self/net/xfrm_stat';
/** Codes of there being no counters: no such file, or one that `node --permission` hides. */
const ABSENT = new Set(['ENOENT', 'ERR_ACCESS_DENIED']);
/** Bytes read at once; the file has 864 (seen: 6.18 and 7.2). */
const PIECE = 16 * 1024;

/** The file, open: it stays that of its namespace, and is read as often as one likes. */
export class XfrmStatFile {
  #file: OpenFile | undefined;

  /**
   * @throws SystemError `EMFILE` … Not where the kernel has no such file (CONFIG_XFRM_STATISTICS), or
   *   there is no /proc.
   */
  constructor({ netns }: HeldNamespace) {
    try {
      this.#file = openFile(netns, PATH);
    } catch (error) {
      if (!ABSENT.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  /** The counters now; undefined where the kernel has none, and once closed. @throws SystemError */
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

  /** Can be called twice. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

/**
 * Reads the counters of IPsec errors.
 *
 * @param options `netns`: of which network namespace; default that of this thread
 * @returns undefined where the kernel does not count them (CONFIG_XFRM_STATISTICS)
 * @throws TypeError or RangeError for a wrong option; SystemError for a namespace that is missing, is
 *   none, or may not be entered
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

/** The counters in such a file: a name and a number a line. Other lines are passed over. */
export function parseXfrmStat(text: string): XfrmStat {
  const lines = text.matchAll(/^\s*(\S+)\s+(\d+)\s*$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, count = '']) => [name, BigInt(count)]));
}
