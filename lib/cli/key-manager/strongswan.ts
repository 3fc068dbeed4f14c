/** The child SAs of strongSwan. @module */
import type { KeyManager, KeyManagerSa } from './key-manager-sa.ts';
import { askVici } from './vici-client.ts';
import { sectionsOf, textOf, type ViciSection } from './vici-message.ts';

/** The default socket; /var/run is /run. */
export const VICI_SOCKET = '/run/charon.vici';

/** The SAs in an event `list-sa`: by connection, then `child-sas`. */
export function sasOfEvent(event: ViciSection): KeyManagerSa[] {
  return sectionsOf(event).flatMap(([connection, ike]) => {
    const [, children] = sectionsOf(ike).find(([name]) => name === 'child-sas') ?? [];
    return sectionsOf(children).flatMap(([, child]) => {
      const proto = textOf(child, 'protocol')?.toLowerCase();
      if (proto !== 'esp' && proto !== 'ah') return [];
      const name = `${connection}/${textOf(child, 'name') ?? '?'}`;
      const installed = textOf(child, 'state') === 'INSTALLED';
      return (
        [
          ['spi-in', 'local-host'],
          ['spi-out', 'remote-host'],
        ] as const
      ).flatMap(([number, host]): KeyManagerSa[] => {
        const spi = Number.parseInt(textOf(child, number) ?? '', 16);
        const daddr = textOf(ike, host);
        return daddr === undefined || !(spi > 0) ? [] : [{ proto, spi, daddr, name, installed }];
      });
    });
  });
}

/** @param path its VICI socket */
export const strongSwan = (path: string): KeyManager => ({
  name: 'strongSwan',
  async listSas() {
    return (await askVici(path, 'list-sas', 'list-sa')).flatMap(sasOfEvent);
  },
});
