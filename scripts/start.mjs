// npm start: set up, then the main job on an embedded default (lib/cli/demo.ts).
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

await setup();
const command = [join(root, 'bin/netlink-xfrm.js'), 'demo', ...process.argv.slice(2)];
const child = spawn(process.execPath, command, { cwd: root, stdio: 'inherit' });
// The child ends by itself and says so; what only this process was sent is passed on. (A terminal
// sends its Ctrl-C to both; the second one does no harm.)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
