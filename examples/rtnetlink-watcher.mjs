// A watcher of rtnetlink: links, addresses and routes as they change. It needs no privilege.
//   node examples/rtnetlink-watcher.mjs
import { printable, subscribe } from 'netlink-xfrm';

const events = subscribe({
  groups: ['link', 'ipv4-ifaddr', 'ipv6-ifaddr', 'ipv4-route', 'ipv6-route'],
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => events.close());
console.log('following links, addresses and routes');
for await (const event of events) {
  switch (event.kind) {
    case 'NEWLINK':
    case 'DELLINK':
      // A name can hold anything but white space: also what moves the cursor.
      console.log(event.kind, printable(event.link.name ?? ''), event.link.flags.names.join(','));
      break;
    case 'NEWADDR':
    case 'DELADDR': {
      const { address, local = address, prefixLength, index } = event.address;
      console.log(event.kind, `${local}/${prefixLength}`, `on link ${index}`);
      break;
    }
    case 'NEWROUTE':
    case 'DELROUTE': {
      const { dst = 'default', dstLength, gateway, oif } = event.route;
      console.log(
        event.kind,
        `${dst}/${dstLength}`,
        ...(gateway ? ['via', gateway] : []),
        `link ${oif}`,
      );
      break;
    }
    case 'overrun':
      console.log('events were lost: list again');
  }
}
