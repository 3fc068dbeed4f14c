/**
 * A strict reader of metrics as text, in both formats, from their specifications and not from the
 * code that writes them.
 * @module
 */
import assert from 'node:assert/strict';

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ReadFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly unit: string | undefined;
  readonly samples: ReadSample[];
}

const VALUE = /^(?:[+-]?Inf|NaN|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== '') {
    const found = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)/.exec(rest);
    assert(found, `labels: ${rest}`);
    const [whole, name = '', value = ''] = found;
    assert(!Object.hasOwn(labels, name), `label ${name} twice: ${text}`);
    labels[name] = value.replace(/\\(.)/g, (_, one) => (one === 'n' ? '\n' : one));
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** Reads a whole answer. Fails for anything that a scrape would refuse. */
export function readExposition(text: string, format: 'classic' | 'openmetrics') {
  const open = format === 'openmetrics';
  assert(text.endsWith('\n'), 'the last line has no end');
  if (open) assert(text.endsWith('\n# EOF\n'));
  else assert(!text.includes('# EOF'));
  const families = new Map<string, ReadFamily>();
  const series = new Set<string>();
  let family: { -readonly [Key in keyof ReadFamily]: ReadFamily[Key] } | undefined;
  const begin = (name: string) => {
    if (family?.name === name) return family;
    assert(!families.has(name), `the lines of ${name} are not together`);
    family = { name, type: '', help: '', unit: undefined, samples: [] };
    families.set(name, family);
    return family;
  };
  const lines = text.split('\n').slice(0, open ? -2 : -1);
  for (const line of lines) {
    const [, word, about = '', rest = ''] = /^# (TYPE|HELP|UNIT) (\S+) (.*)$/.exec(line) ?? [];
    if (word !== undefined) {
      const one = begin(about);
      assert.equal(one.samples.length, 0, `${line} comes after samples`);
      if (word === 'TYPE') one.type = rest;
      else if (word === 'HELP') one.help = rest;
      else one.unit = rest;
      continue;
    }
    const found = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    assert(found && family, `line: ${line}`);
    const [, name = '', labels = '', value = ''] = found;
    assert.match(value, VALUE, line);
    const suffix = open ? ({ counter: '_total', info: '_info' }[family.type] ?? '') : '';
    assert.equal(name, family.name + suffix, line);
    if (family.type === 'counter') assert.match(name, /_total$/, line);
    assert(!series.has(`${name}{${labels}}`), `${line} occurs twice`);
    series.add(`${name}{${labels}}`);
    family.samples.push({ name, labels: readLabels(labels), value: Number(value) });
  }
  for (const { name, type, help, unit } of families.values()) {
    assert.match(type, open ? /^(counter|gauge|info)$/ : /^(counter|gauge)$/, name);
    assert.notEqual(help, '', name);
    if (unit !== undefined) assert(name.endsWith(`_${unit}`), name);
  }
  return {
    families,
    /** The value of a sample with these labels, and no others except those left out. */
    value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
      const all = [...families.values()].flatMap(({ samples }) => samples);
      const matching = all.filter(
        (one) =>
          one.name === name &&
          Object.entries(labels).every(([key, text]) => one.labels[key] === text),
      );
      assert(matching.length < 2, `several of ${name} ${JSON.stringify(labels)}`);
      return matching[0]?.value;
    },
  };
}
