/** Tells the service manager what happens to the daemon. @module */
import type { Daemon } from './daemon.ts';
import type { ServiceNotifier } from './notify.ts';

/** Milliseconds between two looks at the state of all tunnels. */
const LOOK = 2000;

/** Call it before `daemon.start()`. */
export function supervise({ lifeCycle, service }: Daemon, manager: ServiceNotifier): void {
  if (!manager.enabled) return;
  let isReady = false;
  const look = setInterval(() => manager.status(service.status), LOOK).unref();
  lifeCycle.on('ready', () => {
    isReady = true;
    manager.ready(service.status);
    manager.watch(() => service.isHealthy);
  });
  // What has not been ready is not reloading.
  lifeCycle.on('reloading', () => {
    if (isReady) manager.reloading();
  });
  lifeCycle.on('reloaded', () => {
    if (isReady) manager.ready(service.status);
  });
  lifeCycle.on('stopping', () => {
    clearInterval(look);
    manager.stopping();
  });
}
