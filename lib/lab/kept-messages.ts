/**
 * What is said over the socket of a kept guest: JSON, an object a line. The first line of a connection says what it
 * is for. A stream of a command is a connection of its own, so that it flows as fast as its reader takes it.
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

/** What the one who asked for a command says later. Its end of the connection kills the command. */
export interface Later {
  signal: ForwardedSignal;
}

/** What is said of a command. `id`: now connect its streams. */
export type KeeperAnswer =
  | { id: string }
  | { started: true }
  | { status: number }
  | { error: ErrorText }
  | { failure: string };

/** An error as text. */
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

/** A guest that is kept. */
export interface KeptLabGuest {
  readonly kind: LabKernelKind;
  readonly suite: string;
  readonly release: string;
  /** Its memory in MiB. */
  readonly memory: number;
  /** The host directory that it may write to, or empty. */
  readonly share: string;
  /** Commands that run in it. */
  readonly running: number;
  /** When it was started, ISO 8601. */
  readonly since: string;
  /** Milliseconds without a command after which it ends. */
  readonly idle: number;
  /** The process that keeps it. */
  readonly pid: number;
}

/** What the process that keeps a guest reads as it starts. */
export interface KeepSetup {
  readonly kernel: LabKernel;
  readonly memory: number;
  readonly share: string;
  readonly idle: number;
}

/** What it says when the guest is up, or is not. */
export type KeepReport = { ready: true } | { error: ErrorText } | { failure: string };

export const line = (message: object): string => `${JSON.stringify(message)}\n`;
