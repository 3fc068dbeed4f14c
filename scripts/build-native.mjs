// Builds the addon with node-gyp, using the headers beside the running node.
// node-gyp downloads headers only where there are none (it would otherwise always do so
// when npm is not configured with a nodedir), so a build needs no network beyond npm.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** The folder whose include/node holds the headers of exactly this node, or undefined. */
function headersBesideNode() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const header = join(prefix, 'include/node/node_version.h');
  if (!existsSync(header)) return undefined;
  const text = readFileSync(header, 'utf8');
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  const version = `v${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`;
  return version === process.version ? prefix : undefined;
}

/** node-gyp of this checkout, else the one npm carries and names to install scripts. */
function nodeGyp() {
  try {
    return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  } catch {
    const carried = process.env.npm_config_node_gyp;
    if (carried && existsSync(carried)) return carried;
    throw new Error('node-gyp was not found; run this script through npm (npm run build)');
  }
}

const nodedir = headersBesideNode();
const args = [
  nodeGyp(),
  existsSync(join(root, 'build/Makefile')) ? 'build' : 'rebuild',
  '--silent',
];
if (nodedir) args.push(`--nodedir=${nodedir}`);
// Only a failure is worth its output.
const result = spawnSync(process.execPath, args, {
  cwd: root,
  stdio: ['ignore', 'pipe', 'pipe'],
  encoding: 'utf8',
});
if (result.status !== 0) {
  process.stderr.write(`${result.stdout}${result.stderr}`);
  console.error('netlink-xfrm: building the addon failed; it needs python3, make and g++');
  process.exit(1);
}
