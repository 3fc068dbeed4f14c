/**
 * The recorded datagrams of test/fixtures/captures.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../../test/fixtures/captures');

/** A recorded datagram, and what an independent script said of each of its messages. */
export interface Capture {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** As `NEWSA len=352 flags=0x0 seq=1001 pid=1 hdr=224 attrs=ALG_AEAD(92),REPLAY_VAL(12)`. */
  readonly messages: readonly string[];
}

interface Entry {
  readonly name: string;
  readonly msgs?: readonly string[];
}

/** All recorded datagrams of the XFRM protocol, or of rtnetlink. */
export function captures(protocol: 'xfrm' | 'route'): Capture[] {
  return readdirSync(root, { withFileTypes: true }).flatMap(({ name: folder }) => {
    const index = new Map<string, readonly string[]>();
    for (const file of readdirSync(join(root, folder)).filter((one) => one.endsWith('.json'))) {
      const entries = JSON.parse(readFileSync(join(root, folder, file), 'utf8')) as Entry[];
      for (const { name, msgs = [] } of entries) index.set(name, msgs);
    }
    return readdirSync(join(root, folder))
      .filter((file) => file.endsWith('.hex') && file.startsWith('rtnl') === (protocol === 'route'))
      .map((file) => ({
        name: `${folder}/${file}`,
        bytes: Uint8Array.from(
          Buffer.from(readFileSync(join(root, folder, file), 'utf8').trim(), 'hex'),
        ),
        messages: index.get(file.replace('.hex', '')) ?? [],
      }));
  });
}

/** The one capture of a name. */
export function capture(name: string): Uint8Array {
  const found = captures('xfrm').find((one) => one.name === `${name}.hex`);
  if (found === undefined) throw new Error(`no capture ${name}`);
  return found.bytes;
}
