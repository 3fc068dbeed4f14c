/**
 * What the tests of the JSON share: the published schema, as a validator.
 * @module
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { SCHEMA_FILE } from '../tools/generate-schema.ts';

/** The file as it is published. */
export const schemaFile = readFileSync(join(import.meta.dirname, '../..', SCHEMA_FILE), 'utf8');

/** The same schema, but without room for members that it does not name. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const result = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, closed(one)]));
  return 'properties' in result && result.type === 'object'
    ? { additionalProperties: false, ...result }
    : result;
}

/** Code that is not optimized is made in a third of the time, and runs seldom. */
const ajv = (validateSchema: boolean) =>
  new Ajv2020({
    formats: { 'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/ },
    code: { optimize: false },
    validateSchema,
  });
/** What is made when it is first asked for: to compile all of it takes seconds. */
function lazily<Made>(make: () => Made): () => Made {
  let made: { value: Made } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

const wholeSchema = lazily(() => ajv(true).compile(JSON.parse(schemaFile)));
/** Whether a value holds to the schema as it is published. */
export const validate = (value: unknown): boolean => wholeSchema()(value);

type Tag = { kind: { const: string }; message?: { const: string }; change?: { const: string } };
const { oneOf, ...rest } = closed(JSON.parse(schemaFile)) as { oneOf: { properties: Tag }[] };
const byKind = new Map(
  oneOf.map((one) => {
    const { kind, message, change = message } = one.properties;
    const name = [kind.const, change?.const].join(' ').trim();
    return [name, lazily(() => ajv(false).compile({ ...rest, ...one }))];
  }),
);

/** All kinds that the schema describes; requests with the message's name, changes of tunnels with theirs. */
export const schemaKinds = [...byKind.keys()];

/**
 * Checks a line of JSON: it holds to the schema of its kind, and has no member that the schema does
 * not name.
 *
 * @returns its kind
 */
export function checkLine(line: string): string {
  const value = JSON.parse(line) as { kind: string; message?: string; change?: string };
  const { message, change = message } = value;
  const tagged = value.kind === 'request' || value.kind === 'tunnel-change';
  const kind = tagged ? `${value.kind} ${change}` : value.kind;
  const check = byKind.get(kind)?.();
  assert(check, `the schema has no kind ${kind}`);
  assert(check(value), `${line}\n${JSON.stringify(check.errors, undefined, 1)}`);
  return kind;
}
