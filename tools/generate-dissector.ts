/**
 * Generates contrib/wireshark-xfrm.lua: the tables of XFRM (tools/dissector/tables.ts) and what
 * reads packets by them (tools/dissector/dissector.lua). The result is committed; a unit test checks
 * that it is up to date.
 *
 *   npm run generate
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tables } from './dissector/tables.ts';

const root = join(import.meta.dirname, '../..');

/** Its path relative to the project root. */
export const DISSECTOR_FILE = 'contrib/wireshark-xfrm.lua';

const ABOUT = `-- Shows the XFRM messages of a capture of netlink by name, in Wireshark and tshark (4.0 and newer).
-- Copy it into Wireshark's plugin folder (Help, About, Folders: Personal Lua Plugins), or:
--   tshark -X lua_script:wireshark-xfrm.lua -r capture.pcapng
-- Filters: xfrm.message == "NEWSA", xfrm.id.spi == 0x1001, xfrm.usersa_info.reqid == 7
-- Generated from the tables of netlink-xfrm by \`npm run generate\`.
`;

/** The text of the dissector. */
export function dissectorText(): string {
  const code = readFileSync(join(root, 'tools/dissector/dissector.lua'), 'utf8');
  const spaces =
    'local SPACES = { xfrm = XFRM_ATTRIBUTES, sad = SAD_ATTRIBUTES, spd = SPD_ATTRIBUTES }\n';
  return `${ABOUT}\n${tables()}\n${spaces}${code}`;
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(root, DISSECTOR_FILE), dissectorText());
}
