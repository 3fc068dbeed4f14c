// What runs need around them: a network namespace, the program ip.
import { spawn } from 'node:child_process';

/** What keeps a part from running on this machine. */
export class NotHere extends Error {}

/** What `command` says when it can't run here; undefined when it can. */
function whyNot(command) {
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.on('data', (data) => {
      text += data;
    });
    child.on('error', (error) => resolve(error.message));
    child.on('close', (status) =>
      resolve(status === 0 ? undefined : text.trim() || `status ${status}`),
    );
  });
}

/** A network namespace of one's own: as root, or in a user namespace. */
export async function unshare() {
  const ways = [
    ['unshare', '--net'],
    ['unshare', '--user', '--map-root-user', '--net'],
  ];
  let reason;
  for (const way of ways) {
    reason = await whyNot([...way, 'true']);
    if (reason === undefined) return way;
  }
  throw new NotHere(`no network namespace can be made (${reason})`);
}

/** The environment in which `ip` is found, fetched where the machine has none. */
export async function withTools() {
  if ((await whyNot(['ip', '-V'])) === undefined) return process.env;
  console.log('fetching iproute2 …');
  // Only once compiled is it there.
  const { fetchTools } = await import('../dist/lib/lab/index.js');
  const { env } = await fetchTools(['iproute2']);
  return { ...process.env, ...env };
}
