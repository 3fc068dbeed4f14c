/**
 * Lets this process take multicasts of other processes for the kernel's, so that recorded messages
 * can be sent to it. The library has no such switch, on purpose.
 * @module
 */
import { type Addon, addon, type NativeCallback } from '../../lib/socket/addon.ts';

/** To be called before any socket is opened. */
export function takeForged(): void {
  const { prototype } = addon().Socket as Addon['Socket'] & {
    prototype: InstanceType<Addon['Socket']>;
  };
  const { start } = prototype;
  prototype.start = function (callback: NativeCallback, _kernelOnly: boolean, batch: number) {
    return start.call(this, callback, false, batch);
  };
}
