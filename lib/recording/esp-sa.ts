/**
 * The file esp_sa of Wireshark, with which it decrypts ESP (packet-ipsec.c of Wireshark 4.0; the
 * last two fields, of extended sequence numbers, are of newer versions, and 4.0 ignores them).
 * @module
 */
import type { XfrmState } from '../xfrm/objects.ts';
import { formatSpi } from '../xfrm/text.ts';

/** Wireshark's names of the kernel's algorithms. */
const ENCRYPTION: Readonly<Record<string, string>> = {
  'cbc(aes)': 'AES-CBC [RFC3602]',
  'cbc(des3_ede)': 'TripleDES-CBC [RFC2451]',
  'cbc(des)': 'DES-CBC [RFC2405]',
  'cbc(blowfish)': 'BLOWFISH-CBC [RFC2451]',
  'cbc(twofish)': 'TWOFISH-CBC',
  'cbc(cast5)': 'CAST5-CBC [RFC2144]',
  'rfc3686(ctr(aes))': 'AES-CTR [RFC3686]',
  'ecb(cipher_null)': 'NULL',
};
/** By the name and the bits of the check value. */
const AUTHENTICATION: Readonly<Record<string, string>> = {
  'hmac(md5) 96': 'HMAC-MD5-96 [RFC2403]',
  'hmac(sha1) 96': 'HMAC-SHA-1-96 [RFC2404]',
  'hmac(sha256) 96': 'HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]',
  'hmac(sha256) 128': 'HMAC-SHA-256-128 [RFC4868]',
  'hmac(sha384) 192': 'HMAC-SHA-384-192 [RFC4868]',
  'hmac(sha512) 256': 'HMAC-SHA-512-256 [RFC4868]',
  'hmac(rmd160) 96': 'MAC-RIPEMD-160-96 [RFC2857]',
};
/** Bits of check values that can be skipped, if they cannot be checked. */
const SKIPPED = [64, 96, 128, 192, 256];
const GCM = 'rfc4106(gcm(aes))';

interface Algorithms {
  readonly encryption: string;
  readonly key: Uint8Array;
  readonly authentication: string;
  readonly authenticationKey: Uint8Array;
}

const NONE = new Uint8Array(0);

/** @returns why Wireshark cannot decrypt it, as text */
function algorithmsOf({ aead, crypt, auth, authTrunc }: XfrmState): Algorithms | string {
  if (aead !== undefined) {
    if (aead.name !== GCM) return `Wireshark does not decrypt ${aead.name}`;
    if (aead.key === undefined) return KEYLESS;
    return {
      encryption: `AES-GCM with ${aead.icvBits / 8} octet ICV [RFC4106]`,
      key: aead.key.bytes(),
      authentication: 'NULL',
      authenticationKey: NONE,
    };
  }
  if (crypt === undefined) return 'it has no encryption';
  const encryption = ENCRYPTION[crypt.name];
  if (encryption === undefined) return `Wireshark does not decrypt ${crypt.name}`;
  if (crypt.key === undefined) return KEYLESS;
  const key = crypt.key.bytes();
  const check = authTrunc ?? auth;
  if (check === undefined)
    return { encryption, key, authentication: 'NULL', authenticationKey: NONE };
  const bits = authTrunc?.truncBits ?? 0;
  const authentication = AUTHENTICATION[`${check.name} ${bits}`];
  if (authentication !== undefined && check.key !== undefined) {
    return { encryption, key, authentication, authenticationKey: check.key.bytes() };
  }
  if (!SKIPPED.includes(bits)) return `Wireshark does not know ${check.name} with ${bits} bits`;
  const skipped = `ANY ${bits} bit authentication [no checking]`;
  return { encryption, key, authentication: skipped, authenticationKey: NONE };
}

const KEYLESS = 'its key is not in the recording';

const hex = (bytes: Uint8Array): string =>
  bytes.length === 0
    ? ''
    : `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')}`;

/** Whether a key was replaced by zeros when it was recorded: real ones are random. */
const isZero = (bytes: Uint8Array): boolean =>
  bytes.length > 0 && bytes.every((byte) => byte === 0);

/**
 * The line about an SA, without its end.
 *
 * @param state decoded with keys
 * @returns the line, or why there is none
 */
export function espSaLine(state: XfrmState): { readonly line: string } | { readonly why: string } {
  if (state.proto !== 'esp') return { why: `its protocol is ${state.proto}` };
  const algorithms = algorithmsOf(state);
  if (typeof algorithms === 'string') return { why: algorithms };
  const { encryption, key, authentication, authenticationKey } = algorithms;
  if (isZero(key)) return { why: KEYLESS };
  const protocol = state.family === 'inet6' ? 'IPv6' : 'IPv4';
  const isEsn = state.flags.names.includes('esn');
  const fields = [
    protocol,
    state.saddr,
    state.daddr,
    formatSpi(state.spi),
    encryption,
    hex(key),
    authentication,
    hex(authenticationKey),
    isEsn ? '64-bit' : '32-bit',
    isEsn ? String(state.replayEsn?.seqHi || state.replayEsn?.oseqHi || 0) : '0',
  ];
  return { line: fields.map((one) => `"${one}"`).join(',') };
}
