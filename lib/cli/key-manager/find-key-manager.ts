/** `--daemon`: which key manager to ask, and where. @module */
import { existsSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { printable } from '../../wire/text.ts';
import type { KeyManager } from './key-manager-sa.ts';
import { CONTROL_SOCKET, libreswan } from './libreswan.ts';
import { strongSwan, VICI_SOCKET } from './strongswan.ts';

const KINDS = {
  strongswan: { make: strongSwan, socket: VICI_SOCKET },
  libreswan: { make: libreswan, socket: CONTROL_SOCKET },
} as const;
type Kind = keyof typeof KINDS;

const WORDS = 'auto, strongswan, libreswan, strongswan=SOCKET or libreswan=SOCKET';

/** Parses `auto`, `strongswan`, `libreswan=/run/pluto/pluto.ctl`. */
export function keyManagerOption(text: string): () => KeyManager {
  if (text === 'auto') return findKeyManager;
  const [kind = '', socket] = text.split(/=(.*)/s);
  if (!Object.hasOwn(KINDS, kind) || socket === '') {
    throw new InvalidArgumentError(`Expected ${WORDS}; received '${printable(text)}'.`);
  }
  const { make, socket: usual } = KINDS[kind as Kind];
  return () => make(socket ?? usual);
}

/** The one whose socket is there. @throws Error that names the sockets */
function findKeyManager(): KeyManager {
  const found = Object.values(KINDS).find(({ socket }) => existsSync(socket));
  if (found) return found.make(found.socket);
  throw new Error(
    `there is no IKE daemon to ask: neither ${VICI_SOCKET} (strongSwan) nor ${CONTROL_SOCKET} (libreswan) is there; ` +
      'name its socket: --daemon strongswan=SOCKET',
  );
}
