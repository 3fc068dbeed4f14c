// Which folders each folder of lib/ may import, besides itself. docs/architecture.md explains why.
// Run by npm run check.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './setup.mjs';

const LAYERS = {
  base: [],
  wire: ['base'],
  socket: ['base'],
  netlink: ['base', 'wire', 'socket'],
  xfrm: ['base', 'wire', 'netlink'],
  route: ['base', 'wire', 'netlink'],
  monitor: ['base', 'wire', 'socket', 'netlink', 'xfrm', 'route'],
  tunnel: ['base', 'wire', 'socket', 'netlink', 'xfrm', 'route', 'monitor'],
  fate: ['base', 'wire', 'socket', 'netlink', 'xfrm', 'route', 'monitor', 'tunnel'],
  json: ['base', 'wire', 'netlink', 'xfrm', 'monitor', 'tunnel'],
  metrics: ['base', 'wire', 'socket', 'xfrm', 'monitor', 'tunnel'],
  recording: ['base', 'wire', 'socket', 'netlink', 'xfrm', 'route', 'monitor', 'tunnel'],
  serve: [
    'base',
    'wire',
    'socket',
    'netlink',
    'xfrm',
    'route',
    'monitor',
    'tunnel',
    'json',
    'metrics',
    'recording',
  ],
  lab: [],
  testing: ['base', 'wire', 'socket', 'netlink', 'xfrm', 'route', 'monitor', 'tunnel', 'lab'],
  cli: [
    'base',
    'wire',
    'socket',
    'netlink',
    'xfrm',
    'route',
    'monitor',
    'tunnel',
    'fate',
    'json',
    'metrics',
    'recording',
    'serve',
    'lab',
    'testing',
  ],
};

const lib = join(root, 'lib');
const folderOf = (path) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '.');
const wrong = [];
for (const file of readdirSync(lib, { recursive: true }).filter((name) => name.endsWith('.ts'))) {
  const folder = folderOf(file);
  if (folder === '.') continue;
  if (LAYERS[folder] === undefined) wrong.push(`lib/${folder} has no place in scripts/layers.mjs`);
  const code = readFileSync(join(lib, file), 'utf8');
  for (const [, path] of code.matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.[^']*)'/g)) {
    const to = folderOf(relative(lib, join(lib, dirname(file), path)));
    if (to === folder || LAYERS[folder]?.includes(to)) continue;
    wrong.push(
      `lib/${file} imports '${path}': lib/${folder} may import ${LAYERS[folder]?.join(', ') || 'nothing'}`,
    );
  }
}
for (const one of new Set(wrong)) console.error(one);
process.exitCode = wrong.length > 0 ? 1 : 0;
