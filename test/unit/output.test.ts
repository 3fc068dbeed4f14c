/** Lines of text, and lines put straight into bytes, in one output that is read slowly. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const module = (name: string) =>
  JSON.stringify(new URL(`../../lib/${name}.js`, import.meta.url).href);

/** What a program prints that has an `out`, a LineOutput, and `number`, which puts a line into bytes. */
function printed(program: string, reader: string): string[] {
  const code = `
    import { setImmediate } from 'node:timers/promises';
    import { LineOutput } from ${module('cli/terminal/output')};
    import { ascii } from ${module('wire/ascii')};
    const out = new LineOutput();
    const words = ascii(' from bytes\\n');
    function number(n) {
      const line = out.room(64);
      line.decimal(n);
      line.text(words);
    }
    ${program}`;
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', `"$0" --input-type=module -e "$1" | ${reader}`, process.execPath, code],
    {
      encoding: 'utf8',
      maxBuffer: 2 ** 27,
    },
  );
  assert.equal(stderr, '');
  const lines = stdout.split('\n');
  assert.equal(lines.pop(), '');
  return lines;
}

const COUNT = 100_000;
const SLOW = '(sleep 0.5; cat)';

for (const [how, turn] of [
  ['in many writes', 'if (i % 97 === 0) await setImmediate();'],
  ['in one', ''],
  ['at the pace of its reader', 'if (i % 997 === 0) await out.ready();'],
] as const) {
  test(`lines of both kinds arrive whole and in order, ${how}`, () => {
    const lines = printed(
      `for (let i = 0; i < ${COUNT}; i++) {
        if (i % 7 < 2 || i % 1000 > 900) out.line(i + ' as text é ' + 'x'.repeat(i % 5000 === 0 ? 200000 : 3));
        else number(i);
        ${turn}
      }`,
      SLOW,
    );
    assert.equal(lines.length, COUNT);
    lines.forEach((line, i) => {
      const text = i % 7 < 2 || i % 1000 > 900;
      const expected = text
        ? `${i} as text é ${'x'.repeat(i % 5000 === 0 ? 200000 : 3)}`
        : `${i} from bytes`;
      assert(line === expected, `line ${i} is ${line.slice(0, 100)}`);
    });
  });
}

test('a discarded line is not written', () => {
  const lines = printed(
    "out.room(64).decimal(7); out.room(64).at = 0; out.line('a'); number(1);",
    'cat',
  );
  assert.deepEqual(lines, ['a', '1 from bytes']);
});
