// sock_diag: the TCP and UNIX sockets of this network namespace, as ss(8) lists them.
//   node examples/sock-diag.mjs
import { NETLINK_SOCK_DIAG } from 'netlink-xfrm/constants';
import { formatIp, NetlinkConnection } from 'netlink-xfrm/socket';

// linux/sock_diag.h, linux/inet_diag.h, linux/unix_diag.h
const SOCK_DIAG_BY_FAMILY = 20;
const [AF_UNIX, AF_INET, AF_INET6, IPPROTO_TCP] = [1, 2, 10, 6];
const [UDIAG_SHOW_NAME, UNIX_DIAG_NAME] = [1, 0];
const TCP_STATES = ['', 'established', 'syn-sent', 'syn-recv', 'fin-wait-1', 'fin-wait-2'].concat([
  'time-wait',
  'closed',
  'close-wait',
  'last-ack',
  'listen',
  'closing',
]);
const ANY_STATE = 0xffffffff;

const diag = new NetlinkConnection(NETLINK_SOCK_DIAG);

for (const family of [AF_INET, AF_INET6]) {
  const header = new Uint8Array(56); // struct inet_diag_req_v2
  header.set([family, IPPROTO_TCP]);
  header.set(new Uint8Array(Uint32Array.of(ANY_STATE).buffer), 4);
  for await (const { payload, view } of diag.dump({ type: SOCK_DIAG_BY_FAMILY, header })) {
    // struct inet_diag_msg: family, state, …, then big-endian ports at 4 and 6, addresses at 8 and 24.
    const size = family === AF_INET ? 4 : 16;
    const end = (at, port) =>
      `${formatIp(payload.subarray(at, at + size))}:${view.getUint16(port)}`;
    console.log('tcp', TCP_STATES[payload[1]], end(8, 4), end(24, 6));
  }
}

const header = new Uint8Array(24); // struct unix_diag_req
header[0] = AF_UNIX;
header.set(new Uint8Array(Uint32Array.of(ANY_STATE).buffer), 4);
header.set(new Uint8Array(Uint32Array.of(UDIAG_SHOW_NAME).buffer), 12);
for await (const message of diag.dump({ type: SOCK_DIAG_BY_FAMILY, header })) {
  const name = message.attributes(16).get(UNIX_DIAG_NAME)?.bytes; // after struct unix_diag_msg
  if (name) console.log('unix', Buffer.from(name).toString().replaceAll('\0', '@'));
}
await diag.close();
