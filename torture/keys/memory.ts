/**
 * Run by keys.ts, which knows the key; this process has only its complement, so that any occurrence of the
 * key in its memory came from its sockets. Reports where the key remains.
 *
 *     memory.js listen|add|dump COMPLEMENT
 */
import { writeSync } from 'node:fs';
import { XFRM_MSG_FLUSHSA } from '../../lib/constants.ts';
import { subscribe, XfrmClient, XfrmMonitor } from '../../lib/index.ts';
import { addon } from '../../lib/socket/addon.ts';
import { NetlinkSocket } from '../../lib/socket.ts';
import { mappingsWith, occurrences } from '../../test/kernel/memory.ts';
import { turns } from '../../test/kernel/socket-support.ts';

const [how, hex = ''] = process.argv.slice(2);
const complement = new Uint8Array(Buffer.from(hex, 'hex'));
/** The first and the last bytes: a part of the key would be just as bad. */
const parts = [complement.subarray(0, 10), complement.subarray(-10)];
const left = () => parts.reduce((all, part) => all + occurrences(part), 0);
const say = (what: object) => console.log(JSON.stringify(what));

if (how === 'listen') {
  const raw = new NetlinkSocket({ protocol: 6 });
  raw.bind({ groups: 4 });
  let during = 0;
  const heard = new Promise<void>((resolve) => {
    raw.receive((batch) => {
      during += left();
      for (let i = 0; i < batch.count; i++) {
        if (batch.view.getUint16(batch.offset(i) + 4, true) === XFRM_MSG_FLUSHSA) resolve();
      }
    });
  });
  const events = subscribe({ groups: ['sa'] });
  say({ before: left() });
  for await (const { kind } of events) if (kind === 'FLUSHSA') break;
  await heard;
  await raw.close();
  await turns();
  const arena = new Uint8Array(addon().arena()).some((byte) => byte !== 0);
  // The entries after the datagrams are offsets and lengths.
  const { arenaBytes } = addon();
  const bytes = new Uint8Array(addon().arena(), 0, arenaBytes).some((byte) => byte !== 0);
  say({ during, after: left(), arena: arena && bytes });
} else if (how === 'dump') {
  // All readers together; it then aborts in the middle of a batch, and the kernel dumps its memory.
  const events = subscribe({ groups: ['sa'] });
  const monitor = await XfrmMonitor.open();
  const raw = new NetlinkSocket({ protocol: 6 });
  raw.bind({ groups: 4 });
  /** Ordinary memory, to prove that the search finds what it looks for. */
  const control = new Uint8Array(complement);
  let heard = 0;
  let received = 0;
  events.on('event', () => heard++);
  raw.receive((batch) => {
    received += batch.count;
    if (received < 200) return;
    const where = parts.flatMap((part) => mappingsWith(part));
    if (where.length === 0) return;
    const exposed = where.filter(({ flags }) => !flags.includes('dd')).length;
    const states = monitor.states.size;
    const result = { during: where.length, exposed, heard, states, control: control.length };
    writeSync(1, `${JSON.stringify(result)}\n`);
    process.abort();
  });
  say({ before: left() });
} else {
  // Outside V8's heap, whose collector copies objects.
  const key = new Uint8Array(new ArrayBuffer(complement.length));
  const client = new XfrmClient();
  say({ before: left() });
  for (const [i, one] of complement.entries()) key[i] = ~one;
  const during = left();
  const state = { saddr: '192.0.2.1', daddr: '192.0.2.2', proto: 'esp', mode: 'tunnel' } as const;
  const aead = { name: 'rfc4106(gcm(aes))', icvBits: 128, key };
  await client.addState({ ...state, spi: 0x2001, aead });
  // Rejected: checks what remains of the request, and the answer.
  await client.addState({ ...state, spi: 0x2001, aead }).catch(() => {});
  const wrong = { ...state, spi: 0x2002, aead: { ...aead, name: 'no(such)' } };
  await client.addState(wrong).catch(() => {});
  key.fill(0);
  for await (const _ of client.listStates());
  await client.flushStates();
  await client.close();
  await turns();
  say({ during, after: left(), arena: false });
}
