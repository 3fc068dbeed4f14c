// A logger of rekeys: which SPI took the place of which, and for how long there was none.
//   sudo node examples/rekey-logger.mjs
import { TunnelMonitor } from 'netlink-xfrm';

const hex = (spi) => `0x${spi.toString(16).padStart(8, '0')}`;
const shown = ({ from, to, gapMs }) => {
  const note =
    gapMs === undefined
      ? ', found by a resync'
      : gapMs > 0
        ? `, ${Math.round(gapMs)} ms without`
        : '';
  return `${hex(from)} > ${hex(to)}${note}`;
};

const monitor = await TunnelMonitor.open();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => monitor.close());
console.log(`following ${monitor.tunnels.size} tunnels`);
for await (const change of monitor) {
  if (change.kind !== 'rekeyed') continue;
  const { tunnel, time } = change;
  const [sent, received] = [change.out, change.in].map((all) => all.map(shown).join(' ') || '-');
  console.log(
    new Date(time.wall).toISOString(),
    tunnel.name ?? tunnel.id,
    'out',
    sent,
    'in',
    received,
  );
}
