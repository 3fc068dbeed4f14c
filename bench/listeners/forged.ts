/**
 * Makes this process accept multicasts of other processes as the kernel's, so that recorded messages
 * can be sent to it. The library deliberately has no such switch.
 * @module
 */
import { type Addon, addon, type Failure, type NativeCallback } from '../../lib/socket/addon.ts';

/** Must be called before any socket is opened. */
export function takeForged(): void {
  // Its methods cannot be replaced, but it can be as a whole.
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
