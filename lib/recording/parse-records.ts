/**
 * Checks the JSON records of a recording, which may be damaged or of a newer program.
 * @module
 */
import { LATEST_DATE } from '../wire/time.ts';
import type { HostInfo, Note, RecordedProtocol } from './records.ts';

type Json = Readonly<Record<string, unknown>>;

const isText = (value: unknown): value is string => typeof value === 'string';
const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isProtocol = (value: unknown): value is RecordedProtocol =>
  value === 'xfrm' || value === 'route';

/** Whether a number can be a time of either clock. */
export const isTime = (value: number): boolean => value >= 0 && value <= LATEST_DATE;

/** The object in a record; undefined if it is none. */
export function parseJson(bytes: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined if a required property is missing or has the wrong type. */
export function hostOf(from: Json | undefined): HostInfo | undefined {
  const { session, hostname, kernel, version, bootId, utcOffset, keys, namespaces } = from ?? {};
  const right =
    isText(session) &&
    isText(hostname) &&
    isObject(kernel) &&
    isText(kernel.release) &&
    isText(kernel.version) &&
    isText(kernel.machine) &&
    isText(version) &&
    isNumber(utcOffset) &&
    typeof keys === 'boolean' &&
    Array.isArray(namespaces) &&
    namespaces.every((one) => one === null || isText(one));
  if (!right) return undefined;
  const { release, version: build, machine } = kernel as unknown as HostInfo['kernel'];
  return {
    session,
    hostname,
    kernel: { release, version: build, machine },
    version,
    bootId: isText(bootId) ? bootId : undefined,
    utcOffset,
    keys,
    namespaces,
  };
}

/** Undefined for a note of an unknown kind, or without what it needs. */
export function noteOf(from: Json | undefined): Note | undefined {
  if (from === undefined) return undefined;
  const { kind, protocol, phase, code, bytes, reason, counters, portId, pid, name, by, state } =
    from;
  switch (kind) {
    case 'snapshot':
      return isProtocol(protocol) &&
        (phase === 'begin' || phase === 'dumped' || phase === 'settled' || phase === 'failed')
        ? { kind, protocol, phase }
        : undefined;
    case 'overrun':
      return isProtocol(protocol) && isText(code) ? { kind, protocol, code } : undefined;
    case 'unwritten':
      return isNumber(bytes) && isText(reason) ? { kind, bytes, reason } : undefined;
    case 'xfrm-stat':
      return isObject(counters) && Object.values(counters).every(isCount)
        ? { kind, counters: counters as Record<string, string> }
        : undefined;
    case 'owner':
      return isNumber(portId)
        ? {
            kind,
            portId,
            pid: isNumber(pid) ? pid : undefined,
            name: isText(name) ? name : undefined,
          }
        : undefined;
    case 'clock-set':
      return isNumber(by) ? { kind, by } : undefined;
    case 'namespace':
      return state === 'added' || state === 'removed' || state === 'failed'
        ? { kind, state }
        : undefined;
    case 'end':
      return { kind };
    default:
      return undefined;
  }
}

const isCount = (value: unknown): boolean => isText(value) && /^\d{1,20}$/.test(value);
