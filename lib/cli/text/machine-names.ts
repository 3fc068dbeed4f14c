/**
 * Names this machine has for numbers: IP protocols (/etc/protocols) and network devices.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { readText } from '../../wire/text.ts';

export interface MachineNames {
  /** The name of an IP protocol, or its number. */
  protocol(number: number): string;
  /** The name of a network device of this machine, as it is now; undefined if there is none. */
  device(ifindex: number): string | undefined;
}

/** The names as they are when first asked for. */
export function machineNames(): MachineNames {
  let protocols: Map<number, string> | undefined;
  let devices: Map<number, string> | undefined;
  return {
    protocol(number) {
      protocols ??= readProtocols();
      return protocols.get(number) ?? `${number}`;
    },
    device(ifindex) {
      devices ??= readDevices();
      return devices.get(ifindex);
    },
  };
}

function readProtocols(): Map<number, string> {
  const names = new Map<number, string>();
  let text = '';
  try {
    text = readFileSync('/etc/protocols', 'utf8');
  } catch {
    // A machine without that file has no names for protocols.
  }
  for (const line of text.split('\n')) {
    const [, name, number] = /^([^\s#]+)\s+(\d+)/.exec(line) ?? [];
    if (name !== undefined && !names.has(Number(number))) names.set(Number(number), name);
  }
  return names;
}

function readDevices(): Map<number, string> {
  const names = new Map<number, string>();
  const root = '/sys/class/net';
  try {
    for (const name of readdirSync(root, 'buffer')) {
      const path = Buffer.concat([Buffer.from(`${root}/`), name, Buffer.from('/ifindex')]);
      try {
        names.set(Number(readFileSync(path, 'utf8')), readText(name, 0, name.length));
      } catch {
        // Gone meanwhile, or a file of another kind (bonding_masters).
      }
    }
  } catch {
    // No sysfs: no names.
  }
  return names;
}
