/**
 * What no kernel here makes: links of the kinds xfrm and wireguard, and routes through xfrm. Debian
 * builds user-mode-linux, the lab's kernel, without CONFIG_XFRM_INTERFACE and CONFIG_WIREGUARD. So an
 * independent decoder, iproute2's `ip monitor file`, is asked what our encoder wrote, and our decoder
 * must give it back.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeRoute } from '../../lib/route/decode.ts';
import { encodeRoute, type RouteInput } from '../../lib/route/encode.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';
import { findIp } from './iproute2.ts';

const skip = findIp('ip') === undefined && 'there is no ip (iproute2)';

function written(message: RouteInput): MessageWriter {
  const writer = new MessageWriter();
  encodeRoute(writer, message);
  return writer;
}

/** What `ip monitor file` prints for a message. */
function asShown(message: RouteInput): string {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const file = join(folder, 'recording');
    writeFileSync(file, written(message).written());
    const args = ['-d', 'monitor', 'file', file];
    const { stdout, stderr, status } = spawnSync('ip', args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What we read of it. */
function asRead(message: RouteInput) {
  const { view, bytes, length } = written(message);
  const time = { wall: 0, monotonic: 0 };
  return decodeRoute({ view, bytes, time, keys: false }, 0, length);
}

const link = (name: string, info: object) =>
  ({ kind: 'NEWLINK', link: { index: 7, type: 'none', name, mtu: 1400, info } }) as RouteInput;

const cases: [what: string, message: RouteInput, shown: RegExp, read: object][] = [
  [
    'an xfrm interface with an id',
    link('ipsec0', { kind: 'xfrm', xfrm: { link: 1, ifId: 0x12345678 } }),
    /^7: ipsec0: .* mtu 1400[\s\S]*\n {4}xfrm if_id 0x12345678 /,
    { link: { info: { kind: 'xfrm', xfrm: { link: 1, ifId: 0x12345678 } } } },
  ],
  [
    'an xfrm interface that takes its id from the route',
    link('ipsec1', { kind: 'xfrm', xfrm: { collectMetadata: true } }),
    /^7: ipsec1: [\s\S]*\n {4}xfrm external /,
    { link: { info: { kind: 'xfrm', xfrm: { collectMetadata: true } } } },
  ],
  [
    'a wireguard interface, which rtnetlink tells no more of',
    link('wg0', { kind: 'wireguard' }),
    /^7: wg0: [\s\S]*\n {4}wireguard /,
    { link: { info: { kind: 'wireguard' } } },
  ],
  [
    'a route through an xfrm interface',
    {
      kind: 'NEWROUTE',
      route: {
        family: 'inet',
        dst: '10.0.0.0',
        dstLength: 8,
        tableByte: 254,
        type: 'unicast',
        protocol: 'static',
        encapType: 'xfrm',
        encapXfrm: { ifId: 0x1234 },
      },
    },
    /^unicast 10\.0\.0\.0\/8 {2}encap xfrm if_id 4660 .*proto static/,
    { route: { encapType: 'xfrm', encapXfrm: { ifId: 0x1234 } } },
  ],
];

for (const [what, message, shown, read] of cases) {
  test(`iproute2 and this library read what was written: ${what}`, { skip }, () => {
    assert.match(asShown(message), shown);
    const told = asRead(message) as unknown as Record<string, Record<string, unknown>>;
    for (const [about, properties] of Object.entries(read)) {
      for (const [name, value] of Object.entries(properties as object)) {
        assert.deepEqual(told[about]?.[name], value);
      }
    }
  });
}
