/** The configuration of the daemon: what is accepted, where an error points, and that the schema agrees. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { readToken } from '../../lib/serve/access.ts';
import {
  CONFIG_MEMBERS,
  checkNames,
  DEFAULTS,
  parseConfig,
  readConfig,
} from '../../lib/serve/config.ts';
import {
  formatListen,
  isHostAllowed,
  isLoopback,
  parseListen,
} from '../../lib/serve/listen-address.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-config-'));
after(() => rmSync(folder, { recursive: true }));

const schema = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../schema/serve-1.json'), 'utf8'),
);
const conforms = new Ajv2020({ strict: true, strictRequired: false }).compile(schema);

const WHOLE = {
  $schema: 'https://example.net/serve-1.json',
  listen: '[::1]:9786',
  hosts: ['gw.example.net'],
  tls: { cert: '/etc/cert.pem', key: '/etc/key.pem' },
  tokenFile: '/etc/token',
  netns: ['red', '/run/netns/blue'],
  allNetns: false,
  expected: [
    { name: 'paris', remote: '198.51.100.7', reqid: 5 },
    { name: 'paris', remote: '2001:db8::7', netns: 'red' },
    { ifId: 7, mark: 1, local: '192.0.2.1' },
  ],
  thresholds: { idle: '5m', sequence: 0.5, pile: 3 },
  acquires: true,
  refresh: '30s',
  stateDir: '/var/lib/netlink-xfrm',
  recordDir: '/var/lib/netlink-xfrm/recording',
  tunnelSeries: 100,
  eventStreams: 10,
  connections: 64,
};

test('everything that can be configured is in the schema, and nothing else', () => {
  const { $schema: _, ...properties } = schema.properties;
  assert.deepEqual(Object.keys(properties).sort(), [...CONFIG_MEMBERS].sort());
  const given = Object.keys(WHOLE).filter((name) => name !== '$schema');
  assert.deepEqual(given.sort(), [...CONFIG_MEMBERS].sort());
});

test('a whole configuration is read', () => {
  assert(conforms(WHOLE), JSON.stringify(conforms.errors));
  const config = parseConfig(JSON.stringify(WHOLE), 'serve.json');
  assert.deepEqual(config.listen, { host: '::1', port: 9786 });
  assert.equal(config.refresh, 30_000);
  assert.deepEqual(config.thresholds, { idle: 300_000, sequence: 0.5, pile: 3 });
  assert.deepEqual(config.expected?.[1], { name: 'paris', remote: '2001:db8::7', netns: 'red' });
  assert.deepEqual(parseConfig('{}', 'serve.json'), {});
});

/** Text with «» around what the error points at. */
const wrong: readonly (readonly [text: string, reason: RegExp, beyondSchema?: true])[] = [
  ['«[]»', /must be an object; found/],
  ['{\n  «"listn": 1»\n}', /unknown member "listn": did you mean listen\?/],
  ['{ «"port": 1» }', /unknown member "port": valid members: listen, hosts, /],
  ['{ "listen": «"example.net:80"» }', /listen must be an address and a port/],
  ['{ "listen": «"127.0.0.1:99999"» }', /listen must be/, true],
  ['{ "listen": «9786» }', /listen must be a non-empty string; found 9786/],
  ['{ "refresh": «"10"» }', /refresh must be a duration/],
  ['{ "refresh": «"500ms"» }', /at least 1s/, true],
  ['{ "hosts": ["a", «""»] }', /hosts\[1\] must be a non-empty string/],
  ['{ "tls": {\n "cert": "a",\n "key": «7» } }', /tls\.key must be/],
  ['{ "tls": «{ "cert": "a" }» }', /tls\.key must be/],
  ['{ "acquires": «"yes"» }', /acquires must be true or false/],
  ['{ "connections": «7» }', /connections must be an integer from 8 to 100000; found 7/],
  ['{ "thresholds": { "idle": «300» } }', /thresholds\.idle must be a duration/],
  ['{ "thresholds": { "sequence": «2» } }', /thresholds\.sequence must be above 0/],
  ['{ "thresholds": { «"idel": "5m"» } }', /unknown member "idel"/],
  [
    '{ "expected": [\n  { "remote": "192.0.2.1" },\n  { "remote": «"paris"» }\n] }',
    /expected\[1\]\.remote must be an IP address; found/,
    true,
  ],
  ['{ "expected": [«{ "name": "x" }»] }', /expected\[0\] identifies no tunnel/],
  ['{ "expected": [{ "remote": "192.0.2.1", «"spi": 1» }] }', /unknown member "spi"/],
  ['{ "expected": [{ "remote": "192.0.2.1", "name": «"(other)"» }] }', /expected\[0\]\.name/],
  ['{ "expected": [{ "remote": "192.0.2.1", "name": «"netns/red/x"» }] }', /expected\[0\]\.name/],
  [
    '{ "expected": [{ "name": "a", "remote": "192.0.2.1" }, { "name": «"a"», "reqid": 1 }] }',
    /"a" is a duplicate/,
    true,
  ],
  ['{ "allNetns": «true», "netns": ["red"] }', /exclude each other/, true],
];

test('an error names the file, the line and the column', () => {
  for (const [marked, reason, beyondSchema] of wrong) {
    const text = marked.replace(/[«»]/g, '');
    const before = marked.slice(0, marked.indexOf('«')).split('\n');
    const place = `serve.json:${before.length}:${(before.at(-1) ?? '').length + 1}: `;
    assert.throws(
      () => parseConfig(text, 'serve.json'),
      ({ message, code }: Error & { code?: string }) => {
        assert.equal(code, 'ERR_CONFIG');
        assert(message.startsWith(place), `${message}\nis not at ${place}`);
        assert.match(message, reason);
        return true;
      },
    );
    if (!beyondSchema) assert(!conforms(JSON.parse(text)), `the schema accepts ${text}`);
  }
});

test('invalid JSON is reported with its position', () => {
  for (const [text, place, reason] of [
    ['{ "listen": "127.0.0.1:1",\n}', '2:1', /property name expected/],
    ['{\n  // why\n}', '2:3', /invalid JSON/],
    ['{ "netns": ["a" }', '1:17', /comma expected|close bracket expected/],
    ['', '1:1', /invalid JSON/],
  ] as const) {
    assert.throws(
      () => parseConfig(text, 'serve.json'),
      ({ message }: Error) => {
        assert(message.startsWith(`serve.json:${place}: invalid JSON: `), message);
        assert.match(message, reason);
        return true;
      },
    );
  }
  assert.deepEqual(parseConfig('\uFEFF{}', 'x'), {});
});

test('nothing is shown of a file that is something else', () => {
  for (const [text, place, reason] of [
    ['a-token-of-20-letters', '1:1', 'invalid JSON: expected an object, which begins with {'],
    ['\n 1234567-8\n', '2:2', 'invalid JSON: expected an object, which begins with {'],
    ['"a-token-of-20-letters"', '1:1', 'the configuration must be an object; found a JSON string'],
    ['12345678901234567890', '1:1', 'the configuration must be an object; found a JSON number'],
  ] as const) {
    assert.throws(() => parseConfig(text, 'token'), { message: `token:${place}: ${reason}` });
  }
});

test('a line that may hold a secret is not shown', () => {
  for (const [text, reason] of [
    ['{"token":"0123456789abcdef0123"}', '1:2: unknown member "token": '],
    ['{0123456789abcdef0123', '1:2: invalid JSON: '],
  ] as const) {
    assert.throws(
      () => parseConfig(text, 'x'),
      ({ message }: Error) => {
        assert(message.startsWith(`x:${reason}`), message);
        assert(!message.includes('89abcd') && !message.includes('\n'), message);
        return true;
      },
    );
  }
});

test('a file that cannot be read is named', () => {
  const path = join(folder, 'none.json');
  assert.throws(() => readConfig(path), { message: `${path}: no such file` });
  assert.throws(() => readConfig(folder), { message: `${folder}: not a regular file` });
});

test('a token is read from a file that only its owner may read', () => {
  const path = join(folder, 'token');
  writeFileSync(path, 'a-token-of-20-letters\n', { mode: 0o600 });
  const token = readToken(path);
  assert(token.accepts('Bearer a-token-of-20-letters'));
  assert(token.accepts('bearer  a-token-of-20-letters'));
  assert(token.accepts(`Basic ${btoa('anyone:a-token-of-20-letters')}`));
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer a-token-of-20-letter',
    'Bearer a-token-of-20-letters2',
    'a-token-of-20-letters',
    'Token a-token-of-20-letters',
    'Basic a-token-of-20-letters',
    `Basic ${btoa('a-token-of-20-letters:')}`,
    `Bearer ${'x'.repeat(100_000)}`,
  ]) {
    assert(!token.accepts(header), String(header).slice(0, 60));
  }
  assert.doesNotMatch(JSON.stringify(token) + String(token), /letters/);
  chmodSync(path, 0o644);
  assert.throws(() => readToken(path), /others may read or change it \(mode 644\): chmod 600/);
  chmodSync(path, 0o600);
  for (const text of ['short', 'two words are too many', '']) {
    writeFileSync(path, text);
    assert.throws(
      () => readToken(path),
      ({ message }: Error) => {
        assert.match(message, /a token has at least 16/);
        assert(text === '' || !message.includes(text));
        return true;
      },
    );
  }
  mkdirSync(join(folder, 'directory'));
  assert.throws(() => readToken(join(folder, 'directory')), /not a regular file/);
});

test('where to listen', () => {
  for (const [text, expected] of [
    ['127.0.0.1:9786', '127.0.0.1:9786'],
    ['localhost:80', '127.0.0.1:80'],
    ['[::1]:0', '[::1]:0'],
    [':9786', ':9786'],
    ['[::]:9786', '[::]:9786'],
    ['::1:9786', undefined],
    ['[127.0.0.1]:9786', undefined],
    ['127.0.0.1', undefined],
    ['127.0.0.1:', undefined],
    ['127.0.0.1:65536', undefined],
    ['example.net:80', undefined],
    ['', undefined],
  ] as const) {
    const found = parseListen(text);
    assert.equal(found && formatListen(found), expected, text);
  }
  assert.deepEqual(['127.0.0.53', '::1', '0.0.0.0', undefined].map(isLoopback), [
    true,
    true,
    false,
    false,
  ]);
});

test('a name is expected once in a namespace, also in the one that is meant without saying so', () => {
  const expected = [
    { name: 'paris', remote: '192.0.2.1' },
    { name: 'paris', remote: '192.0.2.2', netns: 'red' },
  ];
  checkNames({ ...DEFAULTS, expected });
  checkNames({ ...DEFAULTS, expected, netns: ['blue', 'red'] });
  assert.throws(() => checkNames({ ...DEFAULTS, expected, netns: ['red'] }), {
    message: 'expected: the name "paris" is a duplicate in the namespace "red"',
  });
});

test('a name that would be taken for something else is rejected wherever it is given', () => {
  for (const name of ['(other)', 'netns/red/x', 'x'.repeat(201)]) {
    const expected = [{ name, remote: '192.0.2.1' }];
    assert.throws(
      () => checkNames({ ...DEFAULTS, expected }),
      /^Error: expected: a name must have at most 200 characters, not be "\(other\)", and not begin/,
    );
  }
  checkNames({ ...DEFAULTS, expected: [{ name: 'x'.repeat(200), remote: '192.0.2.1' }] });
});

test('a Host is an address, localhost, or a configured name', () => {
  const names = new Set(['gw.example.net']);
  for (const host of [
    '127.0.0.1',
    '127.0.0.1:9786',
    '[::1]:9786',
    '[2001:db8::1]',
    'localhost:1',
    'LocalHost',
    'GW.example.net:9786',
  ]) {
    assert(isHostAllowed(host, names), host);
  }
  for (const host of [
    undefined,
    '',
    'evil.example',
    'evil.example:9786',
    '127.0.0.1.evil.example',
    '127.0.0.1:x',
    '[::1',
    '::1',
    'localhost.evil.example',
    'gw.example.net.evil',
    '[127.0.0.1]',
  ]) {
    assert(!isHostAllowed(host, names), String(host));
  }
});
