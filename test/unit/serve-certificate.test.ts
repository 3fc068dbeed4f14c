/** The daemon's certificate and key: what is wrong with them is said, with the file. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { outOfDate, readCredentials } from '../../lib/serve/certificate.ts';

const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-certificate-'));
after(() => rmSync(folder, { recursive: true }));
const fixture = (name: string) =>
  join(import.meta.dirname, '../../../test/fixtures/tls', `${name}.pem`);
const [CERT, KEY] = [fixture('cert'), fixture('key')];

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const keyOf = (cipher?: { cipher: string; passphrase: string }) =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', ...cipher },
  }).privateKey;

test('a certificate and its key are read', () => {
  const { cert, key } = readCredentials({ cert: CERT, key: KEY });
  assert.deepEqual([cert, key], [readFileSync(CERT, 'utf8'), readFileSync(KEY, 'utf8')]);
});

test('each problem is reported with the file, and no key shows', () => {
  const other = file('other.pem', keyOf());
  const secret = file('secret.pem', keyOf({ cipher: 'aes-256-cbc', passphrase: 'secret' }));
  const junk = file('junk.pem', 'junk');
  const chain = file(
    'chain.pem',
    `${readFileSync(CERT, 'utf8')}-----BEGIN CERTIFICATE-----\nAAAA\n`,
  );
  for (const [cert, key, expected] of [
    [CERT, other, `${other}: not the key of the certificate in ${CERT}`],
    [CERT, junk, `${junk}: not a private key in PEM (`],
    [CERT, file('empty.pem', ''), `${join(folder, 'empty.pem')}: not a private key in PEM (`],
    [
      CERT,
      secret,
      `${secret}: not a private key in PEM (it needs a passphrase: save it without one)`,
    ],
    [junk, KEY, `${junk}: not a certificate in PEM (`],
    [KEY, CERT, `${KEY}: not a certificate in PEM (`],
    [chain, KEY, `${chain}: TLS cannot use it (`],
    [CERT, join(folder, 'none.pem'), `${join(folder, 'none.pem')}: no such file`],
    [folder, KEY, `${folder}: not a regular file`],
  ] as const) {
    assert.throws(
      () => readCredentials({ cert, key }),
      ({ message }: Error) => {
        assert(message.startsWith(expected), message);
        assert(!message.includes('BEGIN'), message);
        return true;
      },
    );
  }
});

test('a certificate that has expired, or is not valid yet, is recognised', () => {
  const cert = readFileSync(CERT, 'utf8');
  for (const year of [2020, 2027]) assert.equal(outOfDate(cert, Date.UTC(year, 1)), undefined);
  assert.match(
    outOfDate(cert, Date.UTC(2200, 0)) ?? '',
    /^the certificate expired on .* 2126 GMT$/,
  );
  assert.match(
    outOfDate(cert, Date.UTC(2000, 0)) ?? '',
    /^the certificate is not valid before .* 2020 GMT$/,
  );
});
