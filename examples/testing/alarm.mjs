// A program of one's own: it keeps a list of the tunnels that are down, for whoever is on duty.
import { TunnelMonitor } from 'netlink-xfrm';

export class Alarm {
  /** Tunnels that are down, by id, each with the reason. */
  down = new Map();
  /** How often it had to look for itself what it had not heard. */
  repairs = 0;

  static async open(options) {
    const alarm = new Alarm();
    alarm.monitor = await TunnelMonitor.open(options);
    alarm.monitor.on('down', ({ tunnel, reason }) => alarm.down.set(tunnel.id, reason.kind));
    alarm.monitor.on('up', ({ tunnel }) => alarm.down.delete(tunnel.id));
    alarm.monitor.on('resynced', () => alarm.repairs++);
    return alarm;
  }

  close() {
    return this.monitor.close();
  }
}
