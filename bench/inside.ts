/**
 * Runs measurements in a network namespace, or a kernel, created for them. Prints the results as JSON,
 * and progress on standard error.
 *
 *   node --expose-gc inside.js host|lab full|quick|FOLDER [PART...]
 *
 * With the folder of another version, the comparisons are made with that one.
 * @module
 */
import { release } from 'node:os';
import { codec } from './codec.ts';
import { type Comparison, compare, type Scene } from './compare.ts';
import { latencies } from './latency.ts';
import { memory } from './memory.ts';
import { requests } from './requests.ts';
import { type Part, SIZES, type Size } from './results.ts';
import { scale } from './scale.ts';
import * as scenes from './scenes.ts';
import { scrapers } from './scrapers.ts';
import { serve } from './serve.ts';
import { startup } from './startup.ts';
import { dump, storm } from './tables.ts';
import { tunnels } from './tunnels.ts';
import { verdicts } from './verdicts.ts';

const [where, how, ...only] = process.argv.slice(2);
const sized = how === 'quick' || how === 'full';
const size: Size = SIZES[sized ? how : 'against'];
const other = sized ? undefined : how;
const wanted = (part: string) => only.length === 0 || only.includes(part);
const progress = (text: string) => void process.stderr.write(`  ${text}\n`);

/** Runs the selected comparisons at their sizes. */
async function comparisons(
  all: readonly (readonly [Scene, { events: number; rounds: number }])[],
): Promise<Comparison[]> {
  const results: Comparison[] = [];
  for (const [scene, { events, rounds }] of all) {
    if (wanted(scene.name)) results.push(await compare(scene, events, rounds, progress, other));
  }
  return results;
}

async function host(): Promise<Part> {
  return {
    kernel: release(),
    comparisons: await comparisons([
      [scenes.policies, size.live],
      [scenes.policiesPaced, size.live],
      [scenes.policiesRecorded, size.live],
      [scenes.policiesFilled, size.filled],
      [scenes.forged, { ...size.live, rounds: Math.ceil(size.live.rounds / 2) }],
      [scenes.forgedFilled, size.filled],
      [scenes.updatesFilled, size.filled],
    ]),
    ...(wanted('latency') && { latencies: await latencies(size.latencies, progress) }),
    ...(wanted('dump') && { dump: await dump(size.dump, progress) }),
    ...(wanted('requests') && { requests: await requests(size.requests, progress) }),
    ...(wanted('storm') && {
      storms: [
        await storm(size.storm, 64 * 2 ** 20, progress),
        await storm(size.storm, 65_536, progress),
      ],
    }),
    ...(wanted('startup') && { startup: startup(size.startups, progress) }),
    ...(wanted('memory') && { memory: await memory(size.memory, progress) }),
    ...(wanted('scale') && { scale: await scale(size.scale, progress) }),
    ...(wanted('serve') && { served: await serve(size.serve, progress) }),
    ...(wanted('codec') && { codec: codec(size.codec, progress) }),
  };
}

async function lab(): Promise<Part> {
  return {
    kernel: release(),
    comparisons: await comparisons([[scenes.states, size.lab]]),
    ...(wanted('dump') && { dump: await dump(size.dump, progress) }),
    ...(wanted('requests') && { requests: await requests(size.requests, progress) }),
    ...(wanted('tunnels') && { tunnels: await tunnels(size.tunnels, progress) }),
    ...(wanted('verdicts') && { verdicts: await verdicts(size.verdicts, progress) }),
    ...(wanted('serve') && { scrapers: await scrapers(size.scrapers, progress) }),
  };
}

const part = where === 'lab' ? await lab() : await host();
process.stdout.write(`${JSON.stringify(part)}\n`);
