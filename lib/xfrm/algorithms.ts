/**
 * Key lengths known to be invalid, refused here because the kernel would answer with a bare EINVAL.
 * @module
 */
import { shown } from '../base/shown.ts';
import { EncodeError } from '../wire/error.ts';

/**
 * Key sizes in bits (AEADs: including the salt; rfc3686: including the nonce) and ICV sizes in
 * bits. From the setkey functions of crypto/ and the tables of net/xfrm/xfrm_algo.c. HMACs accept
 * any key.
 */
const LENGTHS: Readonly<Record<string, { keyBits: number[]; icvBits?: number[] }>> = {
  'rfc4106(gcm(aes))': { keyBits: [160, 224, 288], icvBits: [64, 96, 128] },
  'rfc4543(gcm(aes))': { keyBits: [160, 224, 288], icvBits: [128] },
  'rfc4309(ccm(aes))': { keyBits: [152, 216, 280], icvBits: [64, 96, 128] },
  'rfc7539esp(chacha20,poly1305)': { keyBits: [288], icvBits: [128] },
  'cbc(aes)': { keyBits: [128, 192, 256] },
  'rfc3686(ctr(aes))': { keyBits: [160, 224, 288] },
  'cbc(camellia)': { keyBits: [128, 192, 256] },
  'cbc(des3_ede)': { keyBits: [192] },
  'ecb(cipher_null)': { keyBits: [0] },
};

/** A map, since a plain record inherits names such as `__proto__`. */
const ALGORITHMS = new Map(Object.entries(LENGTHS));

interface AlgorithmInput {
  readonly name?: string | undefined;
  readonly keyBits?: number | undefined;
  readonly icvBits?: number | undefined;
  readonly key?: { readonly length: number } | undefined;
}

/**
 * Refuses key and ICV lengths known to be invalid.
 *
 * @throws EncodeError that lists the valid lengths
 */
export function checkAlgorithm(algorithm: AlgorithmInput | undefined, path: string[]): void {
  const known = ALGORITHMS.get(algorithm?.name ?? '');
  if (algorithm === undefined || known === undefined) return;
  const bits = algorithm.keyBits ?? (algorithm.key?.length ?? 0) * 8;
  if (!known.keyBits.includes(bits)) {
    const salt = /^rfc/.test(algorithm.name ?? '') ? ' (salt included)' : '';
    const list = known.keyBits.join(', ');
    throw new EncodeError(
      `${algorithm.name} takes a key of ${list} bits${salt}, not ${shown(bits)}`,
      [...path, 'key'],
    );
  }
  if (known.icvBits !== undefined && !known.icvBits.includes(algorithm.icvBits ?? 0)) {
    throw new EncodeError(
      `${algorithm.name} takes an ICV of ${known.icvBits.join(', ')} bits, not ${shown(algorithm.icvBits ?? 0)}`,
      [...path, 'icvBits'],
    );
  }
}
