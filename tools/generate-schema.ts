/**
 * Generates the published JSON Schema from the tables of structs, attributes and names. The result is
 * committed; a unit test checks that it is up to date.
 *
 *   npm run generate
 * @module
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EVENT_SCHEMA } from '../lib/json/line.ts';
import { eventSchema } from './schema/event.ts';

/** Its path relative to the project root: `schema/event-2.json` for `netlink-xfrm/event/2`. */
export const SCHEMA_FILE = `schema/${EVENT_SCHEMA.split('/').slice(1).join('-')}.json`;

/** JSON in lines of moderate length, without indentation: each value that fits on one line. */
function formatted(value: unknown): string {
  const short = JSON.stringify(value);
  if (typeof value !== 'object' || value === null || short.length <= 100) return short;
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const items = Object.entries(value).map(([name, one]) => {
    const key = Array.isArray(value) ? '' : `${JSON.stringify(name)}:`;
    return `${key}${formatted(one)}`;
  });
  return `${open}\n${items.join(',\n')}\n${close}`;
}

/** The text of the schema. */
export const schemaText = (): string => `${formatted(eventSchema())}\n`;

if (process.argv[1] === import.meta.filename) {
  const path = join(import.meta.dirname, '../..', SCHEMA_FILE);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, schemaText());
}
