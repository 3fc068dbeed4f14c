/** The tables of lib/ against the C compiler's view of the kernel's headers on this machine. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as netlink from '../../lib/netlink/constants.ts';
import * as route from '../../lib/route/constants.ts';
import { RAW_STRUCTS } from '../../lib/route/messages.ts';
import * as routeStructs from '../../lib/route/structs.ts';
import type { Struct } from '../../lib/wire/struct.ts';
import * as xfrm from '../../lib/xfrm/constants.ts';
import * as xfrmStructs from '../../lib/xfrm/structs.ts';

const SENTINEL = -0x5afe5afe;

/** Where rtnetlink's structs and numbers are. */
const ROUTE_HEADERS = [
  'rtnetlink.h',
  'if.h',
  'if_link.h',
  'if_addr.h',
  'if_addrlabel.h',
  'if_bridge.h',
  'if_tunnel.h',
  'veth.h',
  'neighbour.h',
  'fib_rules.h',
  'nexthop.h',
  'netconf.h',
  'net_namespace.h',
  'lwtunnel.h',
  'mpls_iptunnel.h',
];

/** The tables of structs, with the headers and those that the oldest header may lack. */
const PROTOCOLS: { structs: Record<string, Struct>; headers: string[]; later: string[] }[] = [
  { structs: { ...xfrmStructs }, headers: ['xfrm.h'], later: ['xfrm_user_migrate_state'] },
  { structs: { ...routeStructs }, headers: ROUTE_HEADERS, later: [] },
];

/** Runs a C program over the headers and gives what it prints, a JSON object. */
function compiled(headers: string[], lines: string[]): Record<string, number> {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const source = join(folder, 'layout.c');
    writeFileSync(
      source,
      `#include <stddef.h>\n#include <stdio.h>\n#include <sys/socket.h>\n${headers.map((one) => `#include <linux/${one}>\n`).join('')}
int main(void) {
  printf("{");
${lines.join('\n')}
  printf("\\"end\\":0}");
  return 0;
}\n`,
    );
    const program = join(folder, 'layout');
    execFileSync('cc', ['-w', '-o', program, source], { encoding: 'utf8' });
    return JSON.parse(execFileSync(program, { encoding: 'utf8' })) as Record<string, number>;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Which of the names the header has, as enumerator or macro: a newer kernel has more. */
function inHeader(names: string[], headers: string[]): Set<string> {
  const text = execFileSync(
    'cc',
    [
      '-E',
      '-dD',
      ...headers.flatMap((one) => ['-include', `linux/${one}`]),
      '-x',
      'c',
      '/dev/null',
    ],
    { encoding: 'utf8', maxBuffer: 2 ** 26 },
  );
  const words = new Set(text.match(/\b\w+\b/g));
  return new Set(names.filter((name) => words.has(name)));
}

test('every struct has the size and the offsets of the kernel’s', () => {
  let checked = 0;
  for (const { structs, headers, later } of PROTOCOLS) {
    const present = inHeader(Object.keys(structs), headers);
    for (const [name, { kernel }] of Object.entries(structs)) {
      assert.equal(name, kernel);
      if (!later.includes(name)) assert(present.has(name), `the headers have no struct ${name}`);
    }
    const tables = Object.values(structs).filter(({ kernel }) => present.has(kernel));
    const lines = tables.flatMap(({ kernel, fields }) => [
      `printf("\\"${kernel}\\":%zu,", sizeof(struct ${kernel}));`,
      ...fields
        .filter(isMember)
        .map(
          (field) =>
            `printf("\\"${kernel}.${field.kernel}\\":%zu,", offsetof(struct ${kernel}, ${field.kernel}));`,
        ),
    ]);
    const found = compiled(headers, lines);
    for (const { kernel, size, fields } of tables) {
      // Of a struct that grows, an older header has less.
      const grows = fields.at(-1)?.type === 'rest';
      if (grows) assert((found[kernel] ?? 0) <= size, `sizeof(struct ${kernel})`);
      else assert.equal(size, found[kernel], `sizeof(struct ${kernel})`);
      for (const field of fields) {
        if (isMember(field)) {
          const name = `${kernel}.${field.kernel}`;
          assert.equal(field.offset, found[name], name);
        } else assert.equal(field.offset, size);
        checked++;
      }
    }
  }
  assert(checked > 300, `${checked} fields`);
});

/** What trails a struct is no member of it: the label of a security context, newer counters. */
const isMember = ({ type }: { type: string }) => type !== 'text' && type !== 'rest';

test('messages that stay raw have the kernel’s structs', () => {
  const found = compiled(
    ROUTE_HEADERS,
    Object.keys(RAW_STRUCTS).map((name) => `printf("\\"${name}\\":%zu,", sizeof(struct ${name}));`),
  );
  const { end: _, ...sizes } = found;
  assert.deepEqual(sizes, { ...RAW_STRUCTS });
});

test('every constant has the value of the kernel’s', () => {
  const headers = ['netlink.h', 'xfrm.h', ...ROUTE_HEADERS];
  const all = { ...netlink, ...route, ...xfrm } as Record<string, number | bigint>;
  const present = inHeader(Object.keys(all), headers);
  const found = compiled(
    headers,
    [...present].map((name) => `printf("\\"${name}\\":%lld,", (long long)${name});`),
  );
  for (const name of present) {
    const value = BigInt.asIntN(64, BigInt(all[name] ?? SENTINEL));
    assert.equal(value, BigInt(found[name] ?? SENTINEL), name);
  }
  // What an older header lacks must be few; with the newest, none is left (docs/architecture.md).
  const lacking = Object.keys(all).filter((name) => !present.has(name));
  const newer =
    /IPTFS|SA_DIR|SA_PCPU|NAT_KEEPALIVE|MIGRATE_STATE|CPU_ACQUIRE|_MCADDR|_ACADDR|RTM_(NEW|DEL)(ANY|MULTI)CAST|NLM_F_BULK|OFFLOAD_PACKET|FRA_(DSCP|FLOWLABEL|[SD]PORT_MASK)|IFA_MC_USERS|IFLA_BRPORT_(BACKUP_NHID|MAB|MCAST_(N|MAX)_GROUPS|NEIGH_(FORWARD|VLAN))|IFLA_BR_(FDB_|STP_MODE)|IFLA_(DEVLINK|DPLL|G[RS]O_IPV4|HEADROOM|TAILROOM|MAX_PACING|NETNS_IMM)|NHA_(GROUP_STATS|HW_STATS|OP_FLAGS)|RTA_(DEL_REASON|FLOWLABEL)/;
  assert.deepEqual(
    lacking.filter((name) => !newer.test(name)),
    [],
  );
});
