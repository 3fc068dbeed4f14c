/** Asks strongSwan over its VICI socket. @module */
import { PATIENCE } from './key-manager-sa.ts';
import { parseViciMessage, type ViciSection } from './vici-message.ts';

/** Types of packets (src/libcharon/plugins/vici/README.md in strongSwan). */
const REQUEST = 0;
const RESPONSE = 1;
const REGISTER = 3;
const CONFIRM = 5;
const EVENT = 7;
/** Most bytes of a packet, by the protocol. */
const LARGEST = 512 * 1024;

function packet(type: number, name: string): Buffer {
  const text = Buffer.from(name);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(2 + text.length);
  return Buffer.concat([length, Buffer.from([type, text.length]), text]);
}

/**
 * Sends a command whose answer is a stream of events, and collects these.
 *
 * @param path the socket
 * @throws Error that names the socket, if it cannot be reached, or the answer is damaged or late
 */
export function askVici(path: string, command: string, event: string): Promise<ViciSection[]> {
  return new Promise((resolve, reject) => {
    const found: ViciSection[] = [];
    let pending = Buffer.alloc(0);
    // Loaded only to ask a daemon.
    const socket = process.getBuiltinModule('node:net').createConnection({ path });
    const timer = setTimeout(() => fail('it does not answer'), PATIENCE);
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
    };
    const fail = (reason: string) => {
      end();
      reject(new Error(`strongSwan cannot be asked at ${path}: ${reason}`));
    };
    /** @returns whether more is expected */
    const receive = (bytes: Buffer): boolean => {
      const type = bytes[0];
      if (type === CONFIRM) socket.write(packet(REQUEST, command));
      else if (type === EVENT) found.push(parseViciMessage(bytes.subarray(2 + (bytes[1] ?? 0))));
      else if (type === RESPONSE) {
        end();
        resolve(found);
        return false;
      } else throw new RangeError(`it does not know ${command} (packet ${type})`);
      return true;
    };
    socket.on('error', ({ message }) => fail(message));
    socket.on('close', () => fail('it closed the connection'));
    socket.on('connect', () => socket.write(packet(REGISTER, event)));
    socket.on('data', (data: Buffer) => {
      pending = Buffer.concat([pending, data]);
      try {
        while (pending.length >= 4) {
          const length = pending.readUInt32BE();
          if (length === 0 || length > LARGEST) throw new RangeError(`a packet of ${length} bytes`);
          if (pending.length < 4 + length) return;
          const bytes = pending.subarray(4, 4 + length);
          pending = pending.subarray(4 + length);
          if (!receive(bytes)) return;
        }
      } catch (error) {
        fail((error as Error).message);
      }
    });
  });
}
