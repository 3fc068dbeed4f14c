/** The certificate and key of the daemon, checked before they are used. @module */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { readSmallFile } from '../base/small-file.ts';
import type { Credentials } from './http-server.ts';

/** Bytes of a certificate chain or a key. */
const LARGEST = 2 ** 20;

/** Reads them from PEM files. @throws an Error that names the file, and says what is wrong */
export function readCredentials(files: Credentials): Credentials {
  const [cert, key] = [readSmallFile(files.cert, LARGEST), readSmallFile(files.key, LARGEST)];
  const certificate = attempt(files.cert, 'not a certificate in PEM', () => certificateOf(cert));
  const secret = attempt(files.key, 'not a private key in PEM', () => keyOf(key));
  if (!certificate.checkPrivateKey(secret)) {
    throw new Error(`${files.key}: not the key of the certificate in ${files.cert}`);
  }
  // The rest of the chain, and what OpenSSL is configured to refuse.
  attempt(files.cert, 'TLS cannot use it', () => createSecureContext({ cert, key }));
  return { cert, key };
}

/** Why clients will not accept a certificate at a time, in milliseconds since 1970. */
export function outOfDate(cert: string, now: number): string | undefined {
  const { validFrom, validTo } = certificateOf(cert);
  if (now > Date.parse(validTo)) return `the certificate expired on ${validTo}`;
  return now < Date.parse(validFrom)
    ? `the certificate is not valid before ${validFrom}`
    : undefined;
}

const certificateOf = (pem: string) => new X509Certificate(pem);

function keyOf(pem: string): KeyObject {
  if (/\bENCRYPTED\b/.test(pem)) throw new Error('it needs a passphrase: save it without one');
  return createPrivateKey(pem);
}

function attempt<Result>(file: string, what: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw new Error(`${file}: ${what} (${(error as Error).message})`);
  }
}
