// Builds the addon with node-gyp, using the headers installed with the running node.
// node-gyp downloads headers only if there are none (it would otherwise always do so
// unless npm is configured with a nodedir), so a build needs no network beyond npm.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { headersBesideNode } from './headers.mjs';

const native = join(import.meta.dirname, '../native');

/** node-gyp of this checkout, else the one bundled with npm, which it passes to install scripts. */
function nodeGyp() {
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  } catch {
    const carried = process.env.npm_config_node_gyp;
    if (carried && existsSync(carried)) return carried;
    console.error('netlink-xfrm: node-gyp was not found; npm has one: npm run build:native');
    process.exit(1);
  }
}

const nodedir = headersBesideNode();
const args = [
  nodeGyp(),
  existsSync(join(native, 'build/Makefile')) ? 'build' : 'rebuild',
  '--silent',
];
if (nodedir) args.push(`--nodedir=${nodedir}`);
// Its output is only shown on failure.
const result = spawnSync(process.execPath, args, {
  cwd: native,
  stdio: ['ignore', 'pipe', 'pipe'],
  encoding: 'utf8',
});
if (result.status !== 0) {
  process.stderr.write(`${result.stdout}${result.stderr}`);
  console.error('netlink-xfrm: building the addon failed; it needs python3, make and g++');
  process.exit(1);
}
