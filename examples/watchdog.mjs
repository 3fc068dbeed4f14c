// A watchdog: waits until the tunnel to a peer is up, and ends with status 1 once it has been down for some seconds.
//   sudo node examples/watchdog.mjs PEER [SECONDS]
import { isUpState, TunnelMonitor } from 'netlink-xfrm';

const [remote, seconds = '5'] = process.argv.slice(2);
const monitor = await TunnelMonitor.open({ expected: [{ name: 'watched', remote }] });
const watched = () => monitor.tunnels.get('watched');
const isUp = () => isUpState(watched()?.state ?? 'down');

await monitor.waitFor(isUp);
console.log('up');
await monitor.waitFor(() => !isUp(), { heldFor: Number(seconds) * 1000 });
console.error(`${watched()?.state}: ${watched()?.reason}`);
await monitor.close();
process.exitCode = 1;
