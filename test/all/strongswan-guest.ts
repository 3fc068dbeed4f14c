/**
 * Runs in the lab: two strongSwan daemons on two hosts negotiate a tunnel and rekey it while traffic
 * flows; what the kernel of the left one announces meanwhile is written to a file.
 *
 *   node strongswan-guest.js TOOLS FILE SECONDS
 * @module
 */
import { execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, INNER, twoHosts, UNDERLAY } from '../../lib/cli/two-hosts.ts';
import { NETLINK_XFRM } from '../../lib/constants.ts';
import { NetlinkSocket } from '../../lib/index.ts';

const [tools = '', file = '', seconds = '20'] = process.argv.slice(2);
const shell = (script: string) => execFileSync('sh', ['-ec', script], { stdio: ['ignore', 2, 2] });

// Charon looks for its plugins below /usr/lib/ipsec alone, which this machine need not have: all of
// /usr/lib once more, with that folder.
shell(`
  mkdir -p /mnt/usr-lib /mnt/lib
  mount --bind /usr/lib /mnt/usr-lib
  mount -t tmpfs none /mnt/lib
  for one in /mnt/usr-lib/*; do ln -s "$one" /mnt/lib/; done
  rm -f /mnt/lib/ipsec
  ln -s ${tools}/usr/lib/ipsec /mnt/lib/ipsec
  mount --bind /mnt/lib /usr/lib
`);

/** The daemon of a host, once it listens. */
async function charon(host: Host, side: 'left' | 'right'): Promise<void> {
  const other = side === 'left' ? 'right' : 'left';
  const folder = `/mnt/${side}`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    `${folder}/strongswan.conf`,
    `charon {
  load_modular = no
  load = random nonce openssl pem pkcs1 pubkey hmac kdf sha1 sha2 aes gcm x509 kernel-netlink socket-default vici
  plugins {
    vici {
      socket = unix://${folder}/vici
    }
  }
}
`,
  );
  writeFileSync(
    `${folder}/swanctl.conf`,
    `connections {
  tunnel {
    version = 2
    local_addrs = ${UNDERLAY[side]}
    remote_addrs = ${UNDERLAY[other]}
    proposals = aes128-sha256-ecp256
    local {
      auth = psk
      id = ${side}
    }
    remote {
      auth = psk
      id = ${other}
    }
    children {
      inner {
        local_ts = ${INNER[side]}/32
        remote_ts = ${INNER[other]}/32
        esp_proposals = aes128gcm16-ecp256
        rekey_time = 4s
        rand_time = 1s
        life_time = 30s
        start_action = ${side === 'left' ? 'trap' : 'none'}
      }
    }
  }
}
secrets {
  ike {
    secret = "made up"
  }
}
`,
  );
  const env = { ...process.env, STRONGSWAN_CONF: `${folder}/strongswan.conf` };
  // Each its own /run, where both would keep their process id.
  const [command, args] = host.command(
    'unshare',
    '--mount',
    'sh',
    '-c',
    'mount -t tmpfs none /run && exec /usr/lib/ipsec/charon --debug-knl 1',
  );
  spawn(command, args, { env, stdio: ['ignore', 'ignore', 2] });
  for (let i = 0; !existsSync(`${folder}/vici`); i++) {
    if (i > 300) throw new Error(`charon of ${side} does not listen`);
    await sleep(100);
  }
  const load = ['--load-all', '--uri', `unix://${folder}/vici`, '--file', `${folder}/swanctl.conf`];
  execFileSync('swanctl', load, { env, stdio: ['ignore', 2, 2] });
}

const hosts = await twoHosts();
const socket = new NetlinkSocket({ protocol: NETLINK_XFRM });
socket.bind();
for (let group = 1; group <= 8; group++) socket.joinGroup(group);
writeFileSync(file, '');
socket.receive((batch) => {
  for (let i = 0; i < batch.count; i++) {
    const at = batch.offset(i);
    appendFileSync(file, batch.bytes.subarray(at, at + batch.length(i)));
  }
});
await charon(hosts.right, 'right');
await charon(hosts.left, 'left');
const udp = createSocket('udp4');
for (let i = 0; i < 10 * Number(seconds); i++) {
  udp.send('traffic', 9, INNER.right);
  await sleep(100);
}
process.exit(0);
