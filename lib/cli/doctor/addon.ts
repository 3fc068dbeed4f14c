/** The native addon: which file, and whether it works. @module */
import { createRequire } from 'node:module';
import { addon } from '../../socket/addon.ts';
import { version } from '../version.ts';
import { hintOf, messageOf } from './error-text.ts';
import { type Finding, ok } from './finding.ts';

/** The loaded file, from Node's cache of modules. */
function loadedFile(): string {
  const cache = createRequire(import.meta.url).cache;
  return Object.keys(cache).find((path) => path.endsWith('netlink.node')) ?? 'a bundled file';
}

export function checkAddon(): Finding[] {
  const node = `Node.js ${process.versions.node} with Node-API ${process.versions.napi}`;
  try {
    addon();
  } catch (error) {
    return [
      {
        id: 'addon.file',
        severity: 'error',
        found: `${messageOf(error)}; ${node}`,
        meaning: 'nothing can be asked of the kernel; replay works',
        remedy: hintOf(error) ?? 'install the package again: npm install netlink-xfrm',
      },
    ];
  }
  const path = loadedFile();
  const origin = /[\\/]prebuilds[\\/]/.test(path)
    ? 'prebuilt'
    : /[\\/]native[\\/]build[\\/]/.test(path)
      ? 'built here'
      : 'bundled';
  return [
    ok('addon.file', `netlink-xfrm ${version}, ${origin}: ${path}; ${node}`, 'the addon works'),
  ];
}
