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
import * as structs from '../../lib/xfrm/structs.ts';

const SENTINEL = -0x5afe5afe;

/** Folders of headers, before the machine's own. */
export type Include = readonly string[];

const flags = (include: Include) => include.flatMap((folder) => ['-isystem', folder]);

/** Runs a C program over the headers and gives what it prints, a JSON object. */
function compiled(include: Include, headers: string[], lines: string[]): Record<string, number> {
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
    execFileSync('cc', ['-w', ...flags(include), '-o', program, source], { encoding: 'utf8' });
    return JSON.parse(execFileSync(program, { encoding: 'utf8' })) as Record<string, number>;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Which of the names the header has, as enumerator or macro: a newer kernel has more. */
function inHeader(include: Include, names: string[], headers: string[]): Set<string> {
  const text = execFileSync(
    'cc',
    [
      '-E',
      '-dD',
      ...flags(include),
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

/**
 * Compares every struct that the headers have with its table.
 * @returns the structs that they lack
 */
export function checkStructs(include: Include = []): string[] {
  const present = inHeader(include, Object.keys(structs), ['xfrm.h']);
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
  const found = compiled(include, ['xfrm.h'], lines);
  for (const { kernel, size, fields } of tables) {
    assert.equal(size, found[kernel], `sizeof(struct ${kernel})`);
    for (const field of fields) {
      if (field.type === 'text') assert.equal(field.offset, size);
      else
        assert.equal(field.offset, found[`${kernel}.${field.kernel}`], `${kernel}.${field.kernel}`);
    }
  }
  return Object.keys(structs).filter((name) => !present.has(name));
}

const HEADERS = ['netlink.h', 'rtnetlink.h', 'xfrm.h'];

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
