/**
 * Makes the published JSON Schema from the tables of structs, attributes and names. The result is
 * committed; a unit test compares it with the tables.
 *
 *   npm run generate
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EVENT_SCHEMA } from '../lib/cli/json.ts';
import { eventSchema } from './schema/event.ts';

/** Where it is, from the project's root: `schema/event-2.json` for `netlink-xfrm/event/2`. */
export const SCHEMA_FILE = `schema/${EVENT_SCHEMA.split('/').slice(1).join('-')}.json`;

/** Its text. */
export const schemaText = (): string => `${JSON.stringify(eventSchema(), undefined, 1)}\n`;

if (process.argv[1] === import.meta.filename) {
  const path = join(import.meta.dirname, '../..', SCHEMA_FILE);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, schemaText());
}
