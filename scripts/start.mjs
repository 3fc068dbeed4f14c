// npm start: set up, then run the demo with its defaults (lib/cli/demo.ts).
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

await setup();
const command = [join(root, 'bin/netlink-xfrm.js'), 'demo', ...process.argv.slice(2)];
const child = spawn(process.execPath, command, { cwd: root, stdio: 'inherit' });
// The child ends by itself with its own status; signals sent only to this process are forwarded. (A terminal
// sends Ctrl-C to both; the duplicate does no harm.)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
