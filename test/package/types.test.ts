/** The declarations, as the versions of TypeScript read them that docs/installing.md names. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { installed, nodeOf, run, tools } from './packed.ts';

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
