// An inventory: the SAs and policies of this host, an object a line, without keys.
//   sudo node examples/inventory.mjs
import { XfrmClient } from 'netlink-xfrm';

const client = new XfrmClient();
for await (const sa of client.listStates()) {
  const algorithms = [sa.aead, sa.crypt, sa.authTrunc ?? sa.auth, sa.comp];
  const names = algorithms.flatMap((one) => (one ? `${one.name}/${one.keyBits}` : []));
  const { packets, bytes, addedAt } = sa.current;
  const added = new Date(addedAt).toISOString();
  const spi = `0x${sa.spi.toString(16).padStart(8, '0')}`;
  console.log(
    sa.proto,
    `${sa.saddr} > ${sa.daddr}`,
    spi,
    sa.mode,
    ...names,
    `${packets} packets, ${bytes} bytes,`,
    added,
  );
}
for await (const { dir, selector, action, priority, templates = [] } of client.listPolicies()) {
  const { saddr, prefixlenS, daddr, prefixlenD } = selector;
  const ends = templates.map((one) => `${one.proto} ${one.saddr} > ${one.daddr}`);
  const what = ends.length > 0 ? ends.join(', ') : action;
  console.log(
    'policy',
    dir,
    `${saddr}/${prefixlenS} > ${daddr}/${prefixlenD}`,
    `priority ${priority}:`,
    what,
  );
}
await client.close();
