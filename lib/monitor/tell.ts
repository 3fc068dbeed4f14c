/**
 * Telling listeners.
 * @module
 */
import type { EventEmitter } from 'node:events';

/**
 * Emits a value under several names. What a listener throws is an uncaught exception, as with every
 * emitter; but the other names' listeners hear it, and the caller goes on.
 */
export function tell(emitter: object, names: readonly string[], value: unknown): void {
  for (const name of names) {
    try {
      // Without the types that tie each event's name to its value.
      (emitter as EventEmitter).emit(name, value);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
