/** The suites of examples/testing/, with their runners. @module */
import { cpSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { root, script, temporary } from './packed.ts';

/** A copy of examples/testing/ with its runners installed. */
export interface Suites {
  readonly folder: string;
  /** Where the runners are; links in the folder lead there. */
  readonly runners: string;
}

/** @param library the folder of the package netlink-xfrm that they import */
export async function suites(library: string): Promise<Suites> {
  const { kept } = await script('kept.mjs');
  const examples = join(root, 'examples/testing');
  const folder = temporary();
  cpSync(examples, folder, { recursive: true });
  const modules = join(folder, 'node_modules');
  rmSync(modules, { recursive: true, force: true });
  mkdirSync(modules);
  const runners: string = kept(examples, 'Vitest and Jest');
  for (const name of readdirSync(runners)) symlinkSync(join(runners, name), join(modules, name));
  symlinkSync(library, join(modules, 'netlink-xfrm'));
  return { folder, runners };
}

/** How the package.json of the examples starts each, without npm. */
export const RUN = {
  node: ['node', '--test', '--test-reporter=tap', 'strongswan.nodetest.mjs'],
  vitest: ['node', 'node_modules/vitest/vitest.mjs', 'run'],
  jest: ['node', '--experimental-vm-modules', 'node_modules/jest/bin/jest.js'],
} as const;
