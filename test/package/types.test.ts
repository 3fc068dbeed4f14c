/** The declarations, as the versions of TypeScript read them that docs/installing.md names. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { installed, nodeOf, packed, root, run, tools } from './packed.ts';
import { suites } from './suites.ts';

const PROGRAM = `
import { type RemovalReason, subscribe, TunnelMonitor, XfrmClient, XfrmMonitor } from 'netlink-xfrm';
import * as constants from 'netlink-xfrm/constants';
import { runInLab } from 'netlink-xfrm/lab';
import { type Link, type NewLinkEvent, RouteClient } from 'netlink-xfrm/route';
import { type DatagramBatch, NetlinkSocket, SocketOwners } from 'netlink-xfrm/socket';
import { encodeXfrm, MessageWriter, type NewSaEvent, type XfrmState } from 'netlink-xfrm/xfrm';
const spi = ({ state }: NewSaEvent): XfrmState['spi'] => state.spi;
const index = ({ link }: NewLinkEvent): Link['index'] => link.index;
export async function program(): Promise<number> {
  const monitor: XfrmMonitor = await XfrmMonitor.open();
  for await (const change of monitor) if (change.kind === 'removed') return change.portId ?? 0;
  for await (const event of subscribe({ groups: ['sa', 'link'] })) {
    if (event.kind === 'NEWSA') return spi(event);
    if (event.kind === 'NEWLINK') return index(event);
  }
  const writer = new MessageWriter();
  encodeXfrm(writer, { kind: 'FLUSHSA', proto: 'esp' });
  const bytes: Uint8Array = writer.written();
  const length = (batch: DatagramBatch): number => batch.length(0);
  const reason: RemovalReason = 'flushed';
  void [TunnelMonitor, XfrmClient, RouteClient, NetlinkSocket, SocketOwners, runInLab, length, reason];
  return constants.XFRM_MSG_NEWSA + bytes.length;
}
`;

for (const version of ['5.4', '5.7', '5.9', '6', '7']) {
  test(`TypeScript ${version}, strict, with the declarations checked too`, async () => {
    const folder = await installed({ 'program.ts': PROGRAM });
    for (const name of ['types-node20', 'undici-types']) {
      const to = name === 'types-node20' ? '@types/node' : name;
      cpSync(join(tools, name), join(folder, 'node_modules', to), { recursive: true });
    }
    const tsc = [nodeOf(24), join(tools, `typescript${version}/bin/tsc`), '--noEmit'];
    const strict = ['--strict', '--skipLibCheck', 'false', '--target', 'es2022'];
    const compile = async (flags: readonly string[]) => {
      const { status, stdout } = await run([...tsc, ...strict, ...flags, 'program.ts'], folder);
      assert.equal(status, 0, `${flags.join(' ')}: ${stdout}`);
    };
    await compile(['--module', 'nodenext']);
    await compile(['--module', 'esnext', '--moduleResolution', 'bundler', '--types', 'node']);
    // Differs from nodenext in what CommonJS may require only.
    if (version === '5.4' || version === '7') await compile(['--module', 'node16']);
  });
}

const SUITE = `
import type { TwoHosts, XfrmMatchers } from 'netlink-xfrm/testing';
import { xfrmMatchers } from 'netlink-xfrm/testing';
export async function suite({ left, right }: TwoHosts): Promise<void> {
  expect.extend(xfrmMatchers);
  await expect(left).toBeEncryptedTo(right, { wire: false });
  await expect(left).not.toMirror(right, { timeout: 5 });
  await expect(() => {}).toCauseNoXfrmErrors([left, right], { tolerate: { XfrmInNoStates: 1 } });
  await expect(() => {}).toLeaveNothing(left);
  // @ts-expect-error
  await expect(left).toBeEncryptedTo('right');
}
`;

test('the declarations of docs/testing.md give the matchers types in Vitest and Jest', async () => {
  const { folder } = await suites(join(await installed(), 'node_modules/netlink-xfrm'));
  const guide = readFileSync(join(root, 'docs/testing.md'), 'utf8');
  for (const [module, from] of [
    ['vitest', 'vitest'],
    ['expect', '@jest/globals'],
  ]) {
    const [line = assert.fail(module)] =
      new RegExp(`declare module '${module}' .*\\} \\}`).exec(guide) ?? [];
    const file = `${module}.ts`;
    writeFileSync(join(folder, file), `import { expect } from '${from}';\n${line}\n${SUITE}`);
    const flags = ['--strict', '--skipLibCheck', '--target', 'es2022', '--module', 'nodenext'];
    const tsc = [nodeOf(24), join(tools, 'typescript5.9/bin/tsc'), '--noEmit', '--types', 'node'];
    const { status, stdout } = await run([...tsc, ...flags, file], folder);
    assert.equal(status, 0, `${module}: ${stdout}`);
  }
});

test('what can be imported is what the declarations say', async () => {
  // The types of its interface are not those of the TypeScript that compiles this.
  const ts = createRequire(import.meta.url)(join(tools, 'typescript5.9/lib/typescript.js'));
  const folder = await installed();
  const inPackage = join(folder, 'node_modules/netlink-xfrm');
  const manifest = readFileSync(join((await packed()).folder, 'package.json'), 'utf8');
  const paths: string[] = Object.values(JSON.parse(manifest).exports);
  const entries = paths
    .filter((path) => path.endsWith('.js'))
    .map((path) => join(inPackage, path.slice(0, -'.js'.length)));
  assert(entries.length > 3);
  const roots = entries.map((entry) => `${entry}.d.ts`);
  const program = ts.createProgram(roots, { module: ts.ModuleKind.NodeNext, types: [] });
  const checker = program.getTypeChecker();
  const isType = (node: { isTypeOnly?: boolean; parent?: { parent?: { isTypeOnly?: boolean } } }) =>
    node.isTypeOnly === true || node.parent?.parent?.isTypeOnly === true;
  for (const entry of entries) {
    const file = checker.getSymbolAtLocation(program.getSourceFile(`${entry}.d.ts`));
    const declared: string[] = [];
    for (const symbol of checker.getExportsOfModule(file)) {
      const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
      const { flags } = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
      if ((flags & ts.SymbolFlags.Value) === 0 || symbol.declarations.some(isType)) continue;
      declared.push(symbol.name);
    }
    const exported = Object.keys(await import(pathToFileURL(`${entry}.js`).href));
    assert.deepEqual(declared.sort(), exported.sort(), entry);
  }
});
