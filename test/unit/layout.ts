/**
 * The tables of lib/ against the C compiler's view of the kernel's headers.
 * @module
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as constants from '../../lib/constants.ts';
import { STRUCT_SIZES } from '../../lib/route/messages.ts';
import * as routeStructs from '../../lib/route/structs.ts';
import type { Struct } from '../../lib/wire/struct.ts';
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
  'devlink.h',
  'dpll.h',
];

/** The tables of structs, each with its headers. */
const PROTOCOLS: readonly (readonly [headers: string[], structs: Record<string, Struct>])[] = [
  [['xfrm.h'], { ...xfrmStructs }],
  [ROUTE_HEADERS, { ...routeStructs }],
];

/** Members that had another name in older headers. */
const RENAMED: Readonly<Record<string, string>> = { weight_high: 'resvd1' };

/** Data that trails a struct and is not a member of it: the label of a security context, newer counters. */
const isMember = ({ type }: { type: string }) => type !== 'text' && type !== 'rest';

/** Folders of headers, before the machine's own. */
export type Include = readonly string[];

/** Includes headers, those that there are: an older machine lacks some. */
const including = (headers: readonly string[]) =>
  headers
    .map((one) => `#if __has_include(<linux/${one}>)\n#include <linux/${one}>\n#endif\n`)
    .join('');

const flags = (include: Include) => include.flatMap((folder) => ['-isystem', folder]);

/** Runs a C program over the headers and gives what it prints, a JSON object. */
function compiled(include: Include, headers: string[], lines: string[]): Record<string, number> {
  const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-'));
  try {
    const source = join(folder, 'layout.c');
    writeFileSync(
      source,
      `#include <stddef.h>\n#include <stdio.h>\n#include <sys/socket.h>\n${including(headers)}
int main(void) {
  printf("{");
${lines.join('\n')}
  printf("\\"end\\":0}");
  return 0;
}\n`,
    );
    const program = join(folder, 'layout');
    execFileSync('cc', ['-w', ...flags(include), '-o', program, source], { encoding: 'utf8' });
    return JSON.parse(execFileSync(program, { encoding: 'utf8' })) as Record<string, number>;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Which of the names the header has, as enumerator or macro: a newer kernel has more. */
function inHeader(include: Include, names: string[], headers: string[]): Set<string> {
  const text = execFileSync('cc', ['-E', '-dD', ...flags(include), '-x', 'c', '-'], {
    input: including(headers),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const words = new Set(text.match(/\b\w+\b/g));
  return new Set(names.filter((name) => words.has(name)));
}

/**
 * Compares every struct that the headers have with its table.
 * @returns the structs that they lack
 */
export function checkStructs(include: Include = []): string[] {
  return PROTOCOLS.flatMap(([headers, structs]) => {
    const present = inHeader(include, Object.keys(structs), headers);
    const tables = Object.values(structs).filter(({ kernel }) => present.has(kernel));
    const renamed = inHeader(include, Object.keys(RENAMED), headers);
    const member = (name: string) => (renamed.has(name) ? name : (RENAMED[name] ?? name));
    const lines = tables.flatMap(({ kernel, fields }) => [
      `printf("\\"${kernel}\\":%zu,", sizeof(struct ${kernel}));`,
      ...fields
        .filter(isMember)
        .map(
          (field) =>
            `printf("\\"${kernel}.${field.kernel}\\":%zu,", offsetof(struct ${kernel}, ${member(field.kernel)}));`,
        ),
    ]);
    const found = compiled(include, headers, lines);
    for (const { kernel, size, fields } of tables) {
      assert.equal(size, found[kernel], `sizeof(struct ${kernel})`);
      for (const field of fields) {
        const name = `${kernel}.${field.kernel}`;
        assert.equal(field.offset, isMember(field) ? found[name] : size, name);
      }
    }
    return Object.keys(structs).filter((name) => !present.has(name));
  });
}

/** Compares the structs of messages that stay raw: their sizes. */
export function checkRawStructs(include: Include = []): void {
  const names = Object.keys(STRUCT_SIZES);
  const lines = names.map((name) => `printf("\\"${name}\\":%zu,", sizeof(struct ${name}));`);
  const { end: _, ...sizes } = compiled(include, ROUTE_HEADERS, lines);
  assert.deepEqual(sizes, { ...STRUCT_SIZES });
}

const HEADERS = ['netlink.h', 'xfrm.h', ...ROUTE_HEADERS];

/**
 * Compares every constant that the headers have with ours.
 * @returns the constants that they lack
 */
export function checkConstants(include: Include = []): string[] {
  const all = { ...constants } as Record<string, number | bigint>;
  const present = inHeader(include, Object.keys(all), HEADERS);
  // NLA_TYPE_MASK is for the 16 bits of nla_type; as an int it has the upper ones too.
  const found = compiled(
    include,
    HEADERS,
    [...present].map(
      (name) =>
        `printf("\\"${name}\\":%lld,", (long long)(${name}${name === 'NLA_TYPE_MASK' ? ' & 0xffff' : ''}));`,
    ),
  );
  for (const name of present) {
    const value = BigInt.asIntN(64, BigInt(all[name] ?? SENTINEL));
    assert.equal(value, BigInt(found[name] ?? SENTINEL), name);
  }
  return Object.keys(all).filter((name) => !present.has(name));
}

/** Every number that a header defines by name: enumerators and macros that are numbers. */
export function namesIn(folder: string, header: string): string[] {
  const text = readFileSync(join(folder, 'linux', header), 'utf8').replace(/\/\*.*?\*\//gs, '');
  const macros = [...text.matchAll(/^#define\s+([A-Z][A-Z0-9_a-z]*)[ \t]+\S/gm)];
  const enums = [...text.matchAll(/^enum[^{;]*\{(.*?)\}/gms)].flatMap(([, list = '']) => [
    ...list.matchAll(/^\s*([A-Z][A-Z0-9_a-z]*)\s*(?:=|,|$)/gm),
  ]);
  return [...new Set([...macros, ...enums].map(([, name = '']) => name))];
}
