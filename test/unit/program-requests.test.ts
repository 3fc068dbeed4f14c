/** What other programs ask of the kernel in their ordinary work, recorded (test/fixtures/README.md): all of it is read. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCommand } from '../warm-command.ts';

const folder = join(import.meta.dirname, '../../../test/fixtures/requests');

interface Line {
  readonly kind: string;
  readonly message?: string;
  readonly name?: string;
  readonly state?: { readonly replayEsn?: { readonly bitmap: number[] } };
  readonly route?: { readonly expiresSeconds?: number };
}

function replay(name: string): Line[] {
  const { stdout, status } = runCommand(['replay', join(folder, name), '-o', 'json']);
  assert.equal(status, 0, name);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

/** What each of them asks for among other things. */
const ASKED: Readonly<Record<string, readonly string[]>> = {
  'iproute2-7.3.pcap': ['NEWSA', 'UPDSA', 'ALLOCSPI', 'GETSADINFO', 'SETDEFAULT', 'NEWNEXTHOP'],
  'libreswan-4.10.pcap': ['ALLOCSPI', 'UPDSA', 'NEWSA', 'UPDPOLICY', 'DELPOLICY', 'DELSA'],
  'networkmanager-1.42.4.pcap': [
    'NEWLINK',
    'DELLINK',
    'NEWADDR',
    'DELADDR',
    'NEWROUTE',
    'NEWRULE',
    'GETNSID',
  ],
  'strongswan-5.9.8.pcap': ['ALLOCSPI', 'UPDSA', 'NEWSA', 'NEWPOLICY', 'GETSPDINFO', 'NEWRULE'],
  'systemd-networkd-252.pcap': [
    'NEWLINK',
    'SETLINK',
    'NEWADDR',
    'NEWROUTE',
    'NEWNEXTHOP',
    'NEWRULE',
  ],
};

test('every request of a program is read, and none is malformed', () => {
  for (const name of readdirSync(folder)) {
    const lines = replay(name);
    const kinds = new Set(lines.map(({ kind }) => kind));
    assert.deepEqual(
      [...kinds].filter((kind) => kind !== 'request' && kind !== 'rtnetlink'),
      [],
      name,
    );
    const asked = new Set(lines.map(({ message }) => message));
    for (const one of ASKED[name] ?? []) assert(asked.has(one), `${name}: ${one}`);
    assert(lines.length > 20, name);
  }
});

test('abbreviated requests of iproute2 are read as the kernel reads them', () => {
  const lines = replay('iproute2-7.3.pcap');
  // A window of 128 numbers without its words.
  const windows = lines.flatMap(({ state }) => (state?.replayEsn ? [state.replayEsn.bitmap] : []));
  assert.deepEqual(windows, [
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
  // 32 bits, where the kernel's own lists have 64 or a struct.
  assert(lines.some(({ route }) => route?.expiresSeconds === 60));
});
