/**
 * Counters of xfrm_stat that are really moved: `stat --watch` explains each, and names the change
 * that made the kernel drop the packet.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { release } from 'node:os';
import { after, before, test } from 'node:test';
import { type Host, type KeyedTunnel, keyedTunnel, twoHosts } from '../../lib/testing/index.ts';
import { freshSa, policyFor } from '../../lib/testing/keyed-tunnel.ts';
import type { Encodable } from '../../lib/wire/encodable.ts';
import type { XfrmState } from '../../lib/xfrm/objects.ts';
import { checkLine } from '../schema.ts';
import { start } from './command.ts';
import { withoutEsp } from './support.ts';

type Hosts = Awaited<ReturnType<typeof twoHosts>>;
type Side = 'left' | 'right';

let hosts: Hosts;
before(async () => {
  if (!withoutEsp) hosts = await twoHosts();
});
after(async () => {
  if (!withoutEsp) await hosts[Symbol.asyncDispose]();
});

interface Case {
  readonly counter: `Xfrm${string}`;
  /** The host that drops the packet. */
  readonly side: Side;
  /** The event that is named next to it, if there is one. */
  readonly event?: string;
  /** Changes what keeps a packet from passing. */
  act(tunnel: KeyedTunnel): Promise<unknown>;
  /** Packets to send from left to right; default 1. */
  readonly packets?: number;
  /** What sends something else instead. */
  send?(): Promise<void>;
}

const NOWHERE = '203.0.113.77';

/** Replaces the SA of packets to the right. */
async function replaceSa(host: Host, { pair }: KeyedTunnel, changes: Encodable<XfrmState>) {
  const { proto: _, ...sa } = pair.toRight;
  await host.xfrm.deleteState({ ...idOf(pair.toRight) });
  await host.xfrm.addState({ ...sa, proto: 'esp', ...changes } as Encodable<XfrmState>);
}

const idOf = ({ daddr, spi }: KeyedTunnel['pair']['toRight']) =>
  ({ daddr, spi, proto: 'esp' }) as const;
const ends = () => [hosts.left.address, hosts.right.address] as const;
const inners = () => [hosts.left.inner, hosts.right.inner] as const;
const replacePolicy = (
  host: Host,
  dir: 'in' | 'out',
  policy: Parameters<typeof policyFor>[3],
  between = ends(),
) => host.xfrm.replacePolicy(policyFor(dir, between, inners(), policy));
const block = (host: Host, dir: 'in' | 'out') => {
  const { templates: _, ...policy } = policyFor(dir, ends(), inners());
  return host.xfrm.replacePolicy({ ...policy, action: 'block' });
};
const noPacketIsLeft = { lifetime: { hardPackets: 1 } };

const CASES: readonly Case[] = [
  {
    counter: 'XfrmInNoStates',
    side: 'right',
    event: 'DELSA',
    act: ({ right, pair }) => right.xfrm.deleteState(idOf(pair.toRight)),
  },
  {
    counter: 'XfrmInStateProtoError',
    side: 'right',
    event: 'NEWSA',
    // Another key.
    act: (tunnel) => {
      const { aead } = freshSa(ends());
      return replaceSa(tunnel.right, tunnel, aead === undefined ? {} : { aead });
    },
  },
  {
    counter: 'XfrmInStateSeqError',
    side: 'right',
    event: 'NEWSA',
    act: (tunnel) =>
      replaceSa(tunnel.right, tunnel, { replay: { oseq: 0, seq: 1000, bitmap: 0xffff_ffff } }),
  },
  {
    counter: 'XfrmInStateExpired',
    side: 'right',
    event: 'EXPIRE',
    act: (tunnel) => replaceSa(tunnel.right, tunnel, noPacketIsLeft),
    packets: 2,
  },
  {
    counter: 'XfrmInStateMismatch',
    side: 'right',
    event: 'NEWSA',
    act: (tunnel) =>
      replaceSa(tunnel.right, tunnel, {
        encap: { type: 'espinudp', sport: 4500, dport: 4500, oa: '0.0.0.0' },
      }),
  },
  {
    counter: 'XfrmInStateModeError',
    side: 'right',
    event: 'NEWSA',
    // Of transport mode on the left: what it carries is no IP packet.
    act: async (tunnel) => {
      await replaceSa(tunnel.right, tunnel, {});
      await replaceSa(tunnel.left, tunnel, { mode: 'transport' });
      const transport = policyFor('out', ends(), ends(), { mode: 'transport' });
      await tunnel.left.xfrm.addPolicy(transport);
    },
    send: () => send(hosts.left.address, hosts.right.address, 1),
  },
  {
    counter: 'XfrmInHdrError',
    side: 'right',
    act: async () => {},
    send: () => python('s.sendto(b"ESP?", (sys.argv[2], 0))'),
  },
  {
    counter: 'XfrmInTmplMismatch',
    side: 'right',
    event: 'UPDPOLICY',
    act: ({ right }) => replacePolicy(right, 'in', { reqid: 99 }),
  },
  {
    counter: 'XfrmInNoPols',
    side: 'right',
    event: 'DELPOLICY',
    act: ({ right }) => {
      const { selector = {} } = policyFor('in', ends(), inners());
      return right.xfrm.deletePolicy({ dir: 'in', selector });
    },
  },
  {
    counter: 'XfrmInPolBlock',
    side: 'right',
    event: 'UPDPOLICY',
    act: ({ right }) => block(right, 'in'),
  },
  {
    counter: 'XfrmAcquireError',
    side: 'right',
    event: 'DELSA',
    // Reserved again, without keys.
    act: async ({ right, pair }) => {
      const { saddr = '', daddr, spi } = pair.toRight;
      await right.xfrm.deleteState(idOf(pair.toRight));
      const state = { saddr, daddr, proto: 'esp', mode: 'tunnel', reqid: 1 } as const;
      await right.xfrm.allocateSpi({ ...state, min: spi, max: spi });
    },
  },
  {
    counter: 'XfrmOutNoStates',
    side: 'left',
    event: 'DELSA',
    act: ({ left, pair }) => left.xfrm.deleteState(idOf(pair.toRight)),
  },
  {
    counter: 'XfrmOutPolBlock',
    side: 'left',
    event: 'UPDPOLICY',
    act: ({ left }) => block(left, 'out'),
  },
  {
    counter: 'XfrmOutStateExpired',
    side: 'left',
    event: 'EXPIRE',
    act: (tunnel) => replaceSa(tunnel.left, tunnel, noPacketIsLeft),
    packets: 2,
  },
  {
    counter: 'XfrmOutStateSeqError',
    side: 'left',
    event: 'NEWSA',
    act: (tunnel) =>
      replaceSa(tunnel.left, tunnel, { replay: { oseq: 0xffff_ffff, seq: 0, bitmap: 0 } }),
  },
  {
    counter: 'XfrmOutBundleGenError',
    side: 'left',
    event: 'UPDPOLICY',
    // A peer without a route.
    act: async ({ left }) => {
      const away = [hosts.left.address, NOWHERE] as const;
      await left.xfrm.addState(freshSa(away));
      await replacePolicy(left, 'out', {}, away);
    },
  },
  {
    counter: 'XfrmOutPolError',
    side: 'left',
    event: 'UPDPOLICY',
    // No source for a peer without a route.
    act: ({ left }) => replacePolicy(left, 'out', {}, ['0.0.0.0', NOWHERE]),
  },
  ...(hasDirections()
    ? ([
        {
          counter: 'XfrmInStateDirError',
          side: 'right',
          event: 'NEWSA',
          act: (tunnel) => replaceSa(tunnel.right, tunnel, { dir: 'out', replayWindow: 0 }),
        },
        {
          counter: 'XfrmOutStateDirError',
          side: 'left',
          event: 'NEWSA',
          act: (tunnel) => replaceSa(tunnel.left, tunnel, { dir: 'in' }),
        },
      ] satisfies Case[])
    : []),
];

/** SAs have a direction from 6.10 on. */
function hasDirections(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return 1000 * major + minor >= 6010;
}

async function send(source: string, target: string, packets: number): Promise<void> {
  const socket = await hosts.left.udp(source);
  socket.on('error', () => {});
  for (let i = 0; i < packets; i++) socket.send('x', 9, target, () => {});
  // Sent, or refused: they are handed over in order.
  await new Promise((resolve) => socket.send('', 9, hosts.left.address, resolve));
  socket.close();
}

/** Runs a line of Python with a raw socket `s` of ESP on the left host, which Node cannot open. */
async function python(line: string): Promise<void> {
  const code = `import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)\n${line}`;
  const child = hosts.left.spawn('python3', ['-c', code, ...ends()], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await once(child, 'exit');
}

interface Move {
  readonly counter: string;
  readonly meaning?: string;
  readonly events: readonly { readonly event: string; readonly text: string }[];
}

test('counters that are moved are explained, with the change next to them', {
  skip: withoutEsp,
}, async () => {
  const watch = (host: Host) =>
    start('stat', '--watch', '--json', '--interval', '50ms', '--netns', host.path);
  const watching = { left: await watch(hosts.left), right: await watch(hosts.right) };
  const spis = new Map<Case, string>();
  for (const one of CASES) {
    await using tunnel = await keyedTunnel(hosts.left, hosts.right);
    spis.set(one, `0x${tunnel.pair.toRight.spi.toString(16).padStart(8, '0')}`);
    await one.act(tunnel);
    if (one.send) await one.send();
    else await send(hosts.left.inner, hosts.right.inner, one.packets ?? 1);
    await watching[one.side].printed(`"counter":"${one.counter}"`);
    if (one.counter === 'XfrmInStateModeError') {
      const { selector = {} } = policyFor('out', ends(), ends(), { mode: 'transport' });
      await hosts.left.xfrm.deletePolicy({ dir: 'out', selector });
    }
  }
  await hosts.left.xfrm.flushStates();
  const moves = { left: await movesOf('left'), right: await movesOf('right') };
  for (const one of CASES) {
    const move = moves[one.side].find(({ counter }) => counter === one.counter) as Move;
    assert(move.meaning, one.counter);
    if (one.event === undefined) continue;
    const next = move.events.find(({ event }) => event === one.event);
    const isAbout = one.event.endsWith('SA') || one.event === 'EXPIRE' ? spis.get(one) : '/32';
    assert(next?.text.includes(isAbout ?? ''), `${one.counter}: ${JSON.stringify(move.events)}`);
  }
  assert(CASES.length >= 17);

  async function movesOf(side: Side): Promise<Move[]> {
    const { out, status } = await watching[side].end();
    assert.equal(status, 0);
    const lines = out.trimEnd().split('\n');
    return lines.flatMap((line) =>
      checkLine(line) === 'counter-move' ? [JSON.parse(line) as Move] : [],
    );
  }
});
