/**
 * A process that serves many tunnels of a simulated kernel, for bench/serve.ts. The simulation is in
 * it: what it costs is part of what is measured. The namespace of the process is watched too.
 *
 *   node serve-daemon.js TUNNELS REFRESH
 * @module
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DEFAULTS } from '../lib/serve/config.ts';
import { keepGarbageYoung } from '../lib/serve/engine.ts';
import { HttpServer } from '../lib/serve/http-server.ts';
import { LifeCycle } from '../lib/serve/life-cycle.ts';
import { Routes } from '../lib/serve/routes.ts';
import { Service } from '../lib/serve/service.ts';
import { dumpsOf, kernelWith } from './simulated-kernel.ts';

keepGarbageYoung();
const [count = 0, refresh = 0] = process.argv.slice(2).map(Number);
const kernel = kernelWith(dumpsOf(count));
const lifeCycle = new LifeCycle();
const service = new Service({ ...DEFAULTS, netns: ['fake', 'here'], refresh }, lifeCycle, (name) =>
  name === 'fake' ? (kernel as never) : '/proc/self/ns/net',
);
await service.start();
const routes = new Routes(
  service,
  'bench',
  () => [],
  () => {},
);
const server = new HttpServer({ hosts: new Set(), token: undefined, tls: undefined }, 512, {
  handle: (request, response, url) => routes.handle(request, response, url),
  isOpen: (path) => routes.isOpen(path),
  refused() {},
  answered() {},
  failed: (error) => {
    throw error;
  },
});
const delay = monitorEventLoopDelay({ resolution: 1 });
const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
const [fake, here] = service.namespaces;
process.send?.({ port, tunnels: fake?.monitor?.tunnels.size });
process.once('SIGTERM', () => process.exit());
process.on('message', (what) => {
  if (what === 'watch') {
    delay.reset();
    delay.enable();
    return;
  }
  delay.disable();
  process.send?.({
    longest: delay.max / 1e6,
    resident: process.memoryUsage.rss(),
    dropped: here?.monitor?.xfrm.dropped,
  });
});
