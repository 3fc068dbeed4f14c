/** Who may read: a token, compared so that its content does not show in the time it takes. @module */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readSmallFile } from '../base/small-file.ts';

/** Bytes of a token file. */
const LARGEST = 4096;

const digest = (text: string) => createHash('sha256').update(text).digest();

/** A token, of which only a digest is kept. */
export class Token {
  readonly #digest: Buffer;

  constructor(text: string) {
    this.#digest = digest(text);
  }

  /**
   * Whether a request's `Authorization` has the token: as `Bearer`, or as the password of `Basic`
   * with any user, for programs that send nothing else.
   */
  accepts(header: string | undefined): boolean {
    const [, scheme = '', value = ''] = /^(\S+)\s+(\S+)\s*$/.exec(header ?? '') ?? [];
    let given = value;
    if (/^basic$/i.test(scheme)) {
      const text = Buffer.from(value, 'base64').toString('utf8');
      given = text.slice(text.indexOf(':') + 1);
    } else if (!/^bearer$/i.test(scheme)) given = '';
    return timingSafeEqual(digest(given), this.#digest) && given !== '';
  }
}

/** Reads a token. @throws an Error that names the file, and says what is wrong */
export function readToken(path: string): Token {
  const text = readSmallFile(path, LARGEST, (mode) =>
    // A group may read it: credentials of systemd have mode 440, as secrets of Kubernetes do.
    (mode & 0o027) === 0
      ? undefined
      : `others may read or change it (mode ${(mode & 0o777).toString(8)}): chmod 600`,
  ).trim();
  if (!/^[\x21-\x7e]{16,}$/.test(text)) {
    throw new Error(
      `${path}: a token has at least 16 printable characters without spaces, in one line`,
    );
  }
  return new Token(text);
}
