/** The tables of lib/ against the C compiler's view of the kernel's headers on this machine. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as netlink from '../../lib/netlink/constants.ts';
import * as route from '../../lib/route/constants.ts';
import * as xfrm from '../../lib/xfrm/constants.ts';
import * as structs from '../../lib/xfrm/structs.ts';

const SENTINEL = -0x5afe5afe;

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
  const present = inHeader(Object.keys(structs), ['xfrm.h']);
  // Structs that came with later kernels than the oldest header this is built with.
  const later = ['xfrm_user_migrate_state'];
  for (const name of Object.keys(structs)) {
    if (!later.includes(name)) assert(present.has(name), `the header has no struct ${name}`);
  }
  const tables = Object.values(structs).filter(({ kernel }) => present.has(kernel));
  const lines = tables.flatMap(({ kernel, fields }) => [
    `printf("\\"${kernel}\\":%zu,", sizeof(struct ${kernel}));`,
    ...fields
      // The label of a security context follows the struct, without a member of its own.
      .filter(({ type }) => type !== 'text')
      .map(
        (field) =>
          `printf("\\"${kernel}.${field.kernel}\\":%zu,", offsetof(struct ${kernel}, ${field.kernel}));`,
      ),
  ]);
  const found = compiled(['xfrm.h'], lines);
  for (const { kernel, size, fields } of tables) {
    assert.equal(size, found[kernel], `sizeof(struct ${kernel})`);
    for (const field of fields) {
      if (field.type === 'text') assert.equal(field.offset, size);
      else
        assert.equal(field.offset, found[`${kernel}.${field.kernel}`], `${kernel}.${field.kernel}`);
    }
  }
  assert(tables.length >= 33);
});

test('every constant has the value of the kernel’s', () => {
  const headers = ['netlink.h', 'rtnetlink.h', 'xfrm.h'];
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
    /IPTFS|SA_DIR|SA_PCPU|NAT_KEEPALIVE|MIGRATE_STATE|CPU_ACQUIRE|_MCADDR|_ACADDR|RTM_(NEW|DEL)(ANY|MULTI)CAST|NLM_F_BULK|OFFLOAD_PACKET/;
  assert.deepEqual(
    lacking.filter((name) => !newer.test(name)),
    [],
  );
});
