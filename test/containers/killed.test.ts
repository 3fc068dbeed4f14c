/** What the lane leaves when it is killed, its next start removes: containers, mounts and the folder of its engine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { LIFETIME, probe } from './engine.ts';

/** A lane in which a container runs. */
const LANE = `
  const { engine, podman } = await import(${JSON.stringify(new URL('engine.js', import.meta.url))});
  const { folder } = await engine();
  const name = 'left-behind';
  const options = ['--detach', '--name', name, '--network=none', '--timeout=${LIFETIME}'];
  await podman('run', ...options, 'debian:bookworm-slim', 'sleep', '${LIFETIME}');
  const { stdout } = await podman('inspect', '--format={{.State.Pid}}', name);
  console.log(JSON.stringify([folder, stdout.trim()]));
  setInterval(() => {}, 1000);`;

/** Processes whose command line names a folder: containers' monitors, and the engine. */
const helpersOf = (folder: string) =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(folder);
    } catch {
      return false; // gone meanwhile
    }
  });

const mountsIn = (folder: string) =>
  readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder));

test('what a killed lane leaves is removed when the next one starts', async () => {
  const args = ['--input-type=module', '-e', LANE];
  const lane = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: lane.stdout }), 'line');
  const [folder, pid] = JSON.parse(line) as [string, string];
  lane.kill('SIGKILL');
  await once(lane, 'exit');
  assert(existsSync(`/proc/${pid}`), 'its container runs on');
  assert(helpersOf(folder).length > 0);
  await probe();
  assert.deepEqual(
    [existsSync(folder), existsSync(`/proc/${pid}`), helpersOf(folder), mountsIn(folder)],
    [false, false, [], []],
  );
});
