/**
 * File systems made of Debian's packages, fetched as the lab fetches its kernels, and kept in its
 * cache.
 * @module
 */
import { chmodSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openPackages, unpack } from '../lib/lab/apt.ts';
import { lockFile, openCache, workDirectory } from '../lib/lab/cache.ts';

/** Changes when what is made here does. */
const LAYOUT = 'v3';

/** A folder of the cache; made by `make` if it is not there. */
export async function keep(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const cache = openCache();
  const place = join(cache, 'containers', LAYOUT, name);
  if (existsSync(place)) return place;
  console.error(`making ${name} …`);
  const lock = await lockFile(join(cache, 'containers.lock'));
  try {
    if (existsSync(place)) return place;
    const made = workDirectory(cache, 'containers');
    chmodSync(made, 0o755);
    await make(made);
    mkdirSync(dirname(place), { recursive: true, mode: 0o700 });
    renameSync(made, place);
  } finally {
    await lock.release();
  }
  return place;
}

/** Unpacks packages of a suite into a folder; with `dependencies` also what they depend on. */
export async function unpackDebian(
  suite: string,
  names: readonly string[],
  folder: string,
  dependencies = false,
): Promise<void> {
  const cache = openCache();
  const lock = await lockFile(join(cache, `${suite}.lock`));
  try {
    const source = openPackages(cache, suite);
    const all = dependencies ? await source.closure(names) : names;
    for (const file of (await source.download(all)).values()) await unpack(file, folder);
    source.clear();
  } finally {
    await lock.release();
  }
}
