// A daemon: follows the SAs and policies of this host, and logs each change as a line of JSON. SIGTERM ends it.
//   sudo node examples/daemon.mjs
import { XfrmMonitor } from 'netlink-xfrm';

const log = (message, details = {}) =>
  console.log(JSON.stringify({ time: new Date(), message, ...details }));
const hex = (spi) => `0x${spi.toString(16).padStart(8, '0')}`;

function describe({ object, value }) {
  if (object === 'state') {
    const { saddr, daddr, proto, spi, reqid } = value;
    return { saddr, daddr, proto, spi: hex(spi), reqid };
  }
  const { dir, selector, priority } = value;
  const { saddr, prefixlenS, daddr, prefixlenD } = selector;
  return { dir, saddr: `${saddr}/${prefixlenS}`, daddr: `${daddr}/${prefixlenD}`, priority };
}

const monitor = await XfrmMonitor.open();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => monitor.close());
log('following', { states: monitor.states.size, policies: monitor.policies.size });

for await (const change of monitor) {
  switch (change.kind) {
    case 'added':
    case 'updated':
      log(`${change.object} ${change.kind}`, describe(change));
      break;
    case 'removed':
      log(`${change.object} removed`, { ...describe(change), reason: change.reason });
      break;
    case 'overrun': // the kernel dropped events: the tables are read again
      log('events were lost', { code: change.code });
      break;
    case 'resynced':
      log('the tables are right again', { added: change.added, removed: change.removed });
  }
}
log('done');
