/** What the checks of `doctor` look at: a network namespace, the kernel, and this process. @module */
import { readFileSync } from 'node:fs';
import { type HeldNamespace, openFile } from '../../socket/namespace.ts';
import type { Finding } from './finding.ts';
import type { KernelConfig } from './kernel-config.ts';
import type { Trials } from './sa-trials.ts';

export interface Examined {
  /** The namespace that is examined. Nothing in it is changed. */
  readonly held: HeldNamespace;
  /** What `--netns` was given. */
  readonly netns: string | undefined;
  readonly kernel: KernelConfig;
  readonly inContainer: boolean;
  /** What was tried in a namespace made for it. */
  readonly trials: Trials;
}

export type Check = (examined: Examined) => Finding[] | Promise<Finding[]>;

/** A file as the namespace has it, without the last line break; undefined if it cannot be read. */
export function readIn({ held }: Pick<Examined, 'held'>, path: string): string | undefined {
  try {
    const file = openFile(held.netns, path);
    try {
      return readFileSync(file.descriptor, 'latin1').trimEnd();
    } finally {
      file.close();
    }
  } catch {
    return undefined;
  }
}

/** A file of this machine; undefined if it cannot be read. */
export function readHere(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trimEnd();
  } catch {
    return undefined;
  }
}
