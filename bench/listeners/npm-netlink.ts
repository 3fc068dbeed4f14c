/** The npm package `netlink`: raw datagrams, delivered as one Buffer per call. @module */
import { RawNetlinkSocket } from 'netlink';
import { NETLINK_XFRM } from '../../lib/netlink/constants.ts';
import { groupMask, kernelOnly, receiveBufferSize, report, reportAtEnd } from './listener.ts';

const socket = new RawNetlinkSocket(NETLINK_XFRM, {
  localGroups: groupMask,
  recvBufferSize: receiveBufferSize,
  sendBufferSize: 0,
});
socket.on('message', (_message, { port }) => {
  if (kernelOnly && port !== 0) report.rejected++;
  else report.received++;
});
socket.on('error', () => {
  report.overruns++;
});
reportAtEnd();
