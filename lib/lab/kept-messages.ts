/**
 * Messages on the socket of a kept guest: JSON, one object per line. The first line of a connection states its purpose.
 * Each stream of a command has its own connection, for flow control.
 */
import type { LabErrorCode } from './errors.ts';
import { LabError } from './errors.ts';
import type { ForwardedSignal } from './interruption.ts';
import type { LabKernel, LabKernelKind } from './kernel.ts';
import type { GuestRun } from './vm.ts';

export type StreamName = 'stdin' | 'stdout' | 'stderr';

/** The first line of a connection. */
export type Opening =
  | { ask: 'run'; run: GuestRun; streams: readonly StreamName[]; idle: number }
  | { ask: 'stream'; id: string; stream: StreamName }
  | { ask: 'describe' }
  | { ask: 'stop' };

/** Later messages from the client that requested a command. Closing its connection kills the command. */
export interface Later {
  signal: ForwardedSignal;
}

/** Answers about a command. `id`: connect its streams now. */
export type KeeperAnswer =
  | { id: string }
  | { started: true }
  | { status: number }
  | { error: ErrorText }
  | { failure: string };

/** An error in serialised form. */
export interface ErrorText {
  code: LabErrorCode;
  message: string;
  hint: string;
  log: string;
}

export function errorAnswer(error: unknown): KeeperAnswer {
  if (!(error instanceof LabError)) return { failure: String(error) };
  const { code, message, hint, log } = error;
  return { error: { code, message, hint, log } };
}

export const errorOf = ({ code, message, hint, log }: ErrorText): LabError =>
  new LabError(code, message, hint, { log });

/** A kept guest. */
export interface KeptLabGuest {
  readonly kind: LabKernelKind;
  readonly suite: string;
  readonly release: string;
  /** Its memory in MiB. */
  readonly memory: number;
  /** Host directory that it may write to, or empty. */
  readonly share: string;
  /** Number of running commands. */
  readonly running: number;
  /** When it was started, ISO 8601. */
  readonly since: string;
  /** Milliseconds without a command after which it shuts down. */
  readonly idle: number;
  /** The process that keeps it. */
  readonly pid: number;
}

/** Setup that the process keeping a guest reads at start. */
export interface KeepSetup {
  readonly kernel: LabKernel;
  readonly memory: number;
  readonly share: string;
  readonly idle: number;
}

/** Its report once the guest is up, or has failed to boot. */
export type KeepReport = { ready: true } | { error: ErrorText } | { failure: string };

export const line = (message: object): string => `${JSON.stringify(message)}\n`;
