// How long each lane took the last time on this machine, to say how long it may take now.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cachePath } from '../dist/lib/lab/cache.js';

const file = () => join(cachePath(), 'lanes.json');

/** { seconds, tests } by the lane's name; empty where nothing is known. */
export function readEstimates() {
  try {
    const read = JSON.parse(readFileSync(file(), 'utf8'));
    const usable = ([, last]) => last?.seconds > 0 && last?.tests > 0;
    return Object.fromEntries(Object.entries(read).filter(usable));
  } catch {
    return {};
  }
}

/** Keeps them, with those of other lanes. A cache that cannot be written costs an estimate, no more. */
export function keepEstimates(lanes) {
  try {
    mkdirSync(dirname(file()), { recursive: true, mode: 0o700 });
    const text = JSON.stringify({ ...readEstimates(), ...lanes }, null, 2);
    writeFileSync(`${file()}.${process.pid}`, `${text}\n`);
    renameSync(`${file()}.${process.pid}`, file());
  } catch {
    // Said above.
  }
}
