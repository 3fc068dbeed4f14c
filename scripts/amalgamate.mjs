// src/addon.cc: native/ as one file, from which the addon is built in the package.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const native = join(root, 'native');
const OWN_HEADER = /^#include "(.+)"\n/gm;

/** Writes it; src/ exists. */
export function amalgamate() {
  const included = new Set();
  /** A file, after the headers of native/ that it needs and that are not there yet. */
  const textOf = (name) => {
    if (included.has(name)) return [];
    included.add(name);
    const text = readFileSync(join(native, name), 'utf8');
    const headers = Array.from(text.matchAll(OWN_HEADER), ([, header]) => header);
    const own = text.replace(OWN_HEADER, '').replace('#pragma once\n', '').trim();
    return [...headers.flatMap(textOf), `// native/${name}\n${own}\n`];
  };
  const sources = readdirSync(native).filter((name) => name.endsWith('.cc'));
  writeFileSync(join(root, 'src/addon.cc'), sources.sort().flatMap(textOf).join('\n'));
}
