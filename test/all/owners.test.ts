/** Whose a socket is, on a host with thousands of processes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { NETLINK_USERSOCK } from '../../lib/constants.ts';
import { NetlinkSocket, SocketOwners } from '../../lib/socket.ts';

const PROCESSES = 5000;

/** Processes that wait, each with ten descriptors, until they are disposed of. */
async function processes(count: number) {
  // They end when standard input does.
  const script = `
    exec 3<&0 4</dev/null 5</dev/null 6</dev/null 7</dev/null 8</dev/null 9</dev/null
    i=0
    while [ $i -lt ${count} ]; do (read line <&3) & i=$((i+1)); done
    echo done
    wait`;
  const shell = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(shell, 'exit');
  await once(createInterface(shell.stdout), 'line');
  return {
    [Symbol.asyncDispose]: async () => {
      shell.stdin.end();
      await exited;
    },
  };
}

test('among five thousand processes the one is found, and others go on meanwhile', async () => {
  await using _many = await processes(PROCESSES);
  const running = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length;
  assert(running > PROCESSES, `${running} processes`);
  // That of this process, which is older than they: so one that nobody can have is looked for among all.
  await using socket = new NetlinkSocket({ protocol: NETLINK_USERSOCK });
  socket.bind({ portId: 600_008 });
  const child = spawn('python3', ['-c', HOLDER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await once(createInterface(child.stdout), 'line');
  let turns = 0;
  let looking = true;
  const turn = () => {
    turns++;
    if (looking) setImmediate(turn);
  };
  setImmediate(turn);
  const owners = new SocketOwners();
  const [own, other] = await Promise.all([
    owners.find(NETLINK_USERSOCK, 600_008),
    owners.find(NETLINK_USERSOCK, 600_009),
  ]);
  looking = false;
  assert.deepEqual([own?.pid, other?.pid], [process.pid, child.pid]);
  // Hundreds on the machines that were measured; one would be a scan in one go.
  assert(turns > 10, `${turns} turns of the event loop`);
  const before = turns;
  assert.equal((await owners.find(NETLINK_USERSOCK, 600_009))?.pid, child.pid);
  assert.equal(turns, before, 'who is known is not looked for');
  child.stdin.end();
  await exited;
});

/** The youngest process has the other socket. */
const HOLDER = `
import socket, sys
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, ${NETLINK_USERSOCK})
s.bind((600_009, 0))
print('bound', flush=True)
sys.stdin.readline()`;
