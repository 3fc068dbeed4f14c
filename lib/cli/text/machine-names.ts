/**
 * This machine's names for numbers: IP protocols (/etc/protocols) and network devices.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { readText } from '../../wire/text.ts';

export interface MachineNames {
  /** The name of an IP protocol, or its number. */
  protocol(number: number): string;
  /** The current name of a network device of this machine; undefined if there is none. */
  device(ifindex: number): string | undefined;
}

/** The names, read on first use. */
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
    // Without that file there are no protocol names.
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
        // It has just been removed, or is not a device (bonding_masters).
      }
    }
  } catch {
    // Without sysfs there are no device names.
  }
  return names;
}
