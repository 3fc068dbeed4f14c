/** Raw datagrams: {@link NetlinkSocket}, nothing decoded. @module */

import { NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { NetlinkSocket } from '../../lib/socket.ts';
import { groupMask, kernelOnly, receiveBufferSize, report, reportAtEnd } from './listener.ts';

const socket = new NetlinkSocket({ protocol: NETLINK_XFRM, kernelOnly });
socket.setReceiveBufferSize(receiveBufferSize);
socket.bind({ groups: groupMask });
socket.receive((batch) => {
  if (report.received === 0) report.first = batch.monotonic;
  report.received += batch.count;
  report.last = batch.monotonic;
});
reportAtEnd(() => {
  report.overruns = socket.overruns;
  report.rejected = socket.rejected;
});
