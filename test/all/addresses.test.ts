/** What following the addresses of a host keeps, while links come and go a million times, as veth pairs of containers do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { host } from '../unit/address-host.ts';
import { address, link } from '../unit/simulated-links.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const used = () => {
  collect();
  return process.memoryUsage().heapUsed;
};

const ROUNDS = 10;
const EVENTS = 100_000;

test('a million events of links and addresses leave nothing behind', (t) => {
  const { table, local, event } = host(link(1, true));
  let index = 1;
  const nth = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
  const round = () => {
    for (let i = 0; i < EVENTS; i += 5) {
      index++;
      event('NEWLINK', { link: link(index, true) });
      event('NEWADDR', { address: address(index, nth(index)) });
      event('NEWLINK', { link: link(index, false) });
      event('DELADDR', { address: address(index, nth(index)) });
      event('DELLINK', { link: link(index, false) });
    }
    return used();
  };
  // The first fills what is remembered.
  const first = round();
  const sizes = Array.from({ length: ROUNDS }, round);
  const grown = sizes.map((size) => Math.round((size - first) / 1024));
  t.diagnostic(`KiB more after each ${EVENTS} events: ${grown.join(', ')}`);
  assert.equal(table.tables.link.size, 1);
  assert.equal(table.tables.address.size, 0);
  assert(local.lost(nth(index)));
  // One link kept for each that ever was would be megabytes.
  assert(Math.max(...grown) < 1024, `${grown} KiB`);
});
