/**
 * Lets this process take multicasts of other processes for the kernel's, so that recorded messages
 * can be sent to it. The library has no such switch, on purpose.
 * @module
 */
import { type Addon, addon, type Failure, type NativeCallback } from '../../lib/socket/addon.ts';

/** To be called before any socket is opened. */
export function takeForged(): void {
  // Its methods cannot be replaced, but it can.
  const native = addon() as { -readonly [Name in keyof Addon]: Addon[Name] };
  native.Socket = class extends native.Socket {
    override start(
      callback: NativeCallback,
      _kernelOnly: boolean,
      batch: number,
    ): number | Failure {
      return super.start(callback, false, batch);
    }
  };
}
