// npm start: set up, then the main job on an embedded default (lib/cli/demo.ts).
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

setup();
const command = [join(root, 'bin/netlink-xfrm.js'), 'demo', ...process.argv.slice(2)];
const child = spawn(process.execPath, command, { cwd: root, stdio: 'inherit' });
// The terminal sends its signals to the child as well, which ends by itself.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});
child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
