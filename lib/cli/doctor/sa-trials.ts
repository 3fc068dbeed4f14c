/**
 * Tries which SAs the kernel accepts, in a network namespace made for it: as root, or else in a user
 * namespace, by another process. The kernel may load the modules that it needs.
 * @module
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import type { KernelError } from '../../netlink/kernel-error.ts';
import { NetworkNamespace } from '../../testing/network-namespace.ts';
import type { Encodable } from '../../wire/encodable.ts';
import type { XfrmState } from '../../xfrm/objects.ts';
import { messageOf } from './error-text.ts';

const V4 = { saddr: '192.0.2.1', daddr: '192.0.2.2' };
const V6 = { saddr: '2001:db8::1', daddr: '2001:db8::2' };
const key = (bytes: number) => randomBytes(bytes);

type Sa = Encodable<XfrmState>;
/** Makes an SA, with keys of its own. */
type Make = () => Sa;
const aead =
  (name: string, bytes: number): Make =>
  () => ({ aead: { name, icvBits: 128, key: key(bytes) } });
const both =
  (cipher: [string, number], hash: [string, number, number]): Make =>
  () => ({
    crypt: { name: cipher[0], key: key(cipher[1]) },
    authTrunc: { name: hash[0], key: key(hash[1]), truncBits: hash[2] },
  });
const crypt = (name: string, bytes: number) => both([name, bytes], ['hmac(sha256)', 32, 128]);
const auth = (name: string, bytes: number, bits: number) =>
  both(['cbc(aes)', 16], [name, bytes, bits]);
const ah =
  (name: string, bytes: number): Make =>
  () => ({ authTrunc: { name, truncBits: 96, key: key(bytes) }, proto: 'ah' });
const comp: Make = () => ({
  comp: { name: 'deflate', key: new Uint8Array() },
  mode: 'transport',
  proto: 'comp',
});
const GCM = aead('rfc4106(gcm(aes))', 20);

/** One of each proves the protocol: a kernel may lack the algorithm of the first. */
const ESP = [GCM, crypt('cbc(aes)', 16), crypt('ecb(cipher_null)', 0)];
const AH = [ah('hmac(sha256)', 32), ah('hmac(sha1)', 20)];
const over = (ends: Sa, makers: readonly Make[]): Make[] =>
  makers.map((make) => () => ({ ...make(), ...ends }));

/** By the names of protocols and families. */
const PROTOCOLS = {
  esp4: over(V4, ESP),
  esp6: over(V6, ESP),
  ah4: over(V4, AH),
  ah6: over(V6, AH),
  ipcomp4: over(V4, [comp]),
  ipcomp6: over(V6, [comp]),
} as const satisfies Readonly<Record<string, readonly Make[]>>;

/** By the kernel's names. */
const ALGORITHMS = {
  'rfc4106(gcm(aes))': GCM,
  'cbc(aes)': crypt('cbc(aes)', 16),
  'hmac(sha256)': auth('hmac(sha256)', 32, 128),
  'hmac(sha512)': auth('hmac(sha512)', 64, 256),
  'rfc7539esp(chacha20,poly1305)': aead('rfc7539esp(chacha20,poly1305)', 36),
  'hmac(sha384)': auth('hmac(sha384)', 48, 192),
  'hmac(sha1)': auth('hmac(sha1)', 20, 96),
  'hmac(md5)': auth('hmac(md5)', 16, 96),
  'cmac(aes)': auth('cmac(aes)', 16, 96),
  'xcbc(aes)': auth('xcbc(aes)', 16, 96),
  'rfc3686(ctr(aes))': crypt('rfc3686(ctr(aes))', 20),
  'rfc4309(ccm(aes))': aead('rfc4309(ccm(aes))', 19),
  'rfc4543(gcm(aes))': aead('rfc4543(gcm(aes))', 20),
  'cbc(des3_ede)': crypt('cbc(des3_ede)', 24),
  'ecb(cipher_null)': crypt('ecb(cipher_null)', 0),
} as const satisfies Readonly<Record<string, Make>>;

export type ProtocolName = keyof typeof PROTOCOLS;
export type AlgorithmName = keyof typeof ALGORITHMS;
export const PROTOCOL_NAMES = Object.keys(PROTOCOLS) as ProtocolName[];
export const ALGORITHM_NAMES = Object.keys(ALGORITHMS) as AlgorithmName[];

/** Whether something was accepted, or the error. */
export type Trial =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: string; readonly message: string };

/** What was tried, and where. */
export type Trials =
  | {
      readonly where: 'namespace' | 'user-namespace';
      readonly protocols: Readonly<Record<ProtocolName, Trial>>;
      readonly algorithms: Readonly<Record<AlgorithmName, Trial>>;
      /** A link of kind xfrm. */
      readonly xfrmInterface: Trial;
    }
  /** No namespace could be made: why not as root, and why not in a user namespace. */
  | { readonly where: 'nowhere'; readonly reason: string; readonly userReason: string };

async function attempt(act: () => Promise<unknown>): Promise<Trial> {
  try {
    await act();
    return { ok: true };
  } catch (error) {
    const { code = 'unknown' } = error as { code?: string };
    const said = (error as Partial<KernelError>).kernelMessage;
    return {
      ok: false,
      code,
      message: said === undefined ? messageOf(error) : `${said} (${code})`,
    };
  }
}

/** An algorithm that is missing says nothing about the protocol. */
const isAboutAlgorithm = (trial: Trial): boolean => !trial.ok && trial.code === 'ENOSYS';

/** Tries everything in a new network namespace. @throws SystemError if none can be made */
export async function tryHere(): Promise<Trials> {
  await using host = await NetworkNamespace.make('doctor');
  let spi = 0x1000;
  const accepts = (make: Make): Promise<Trial> =>
    attempt(() =>
      host.xfrm.addState({ proto: 'esp', mode: 'tunnel', ...V4, ...make(), spi: spi++ } as never),
    );
  const protocols = {} as Record<ProtocolName, Trial>;
  for (const name of PROTOCOL_NAMES) {
    for (const make of PROTOCOLS[name]) {
      protocols[name] = await accepts(make);
      if (!isAboutAlgorithm(protocols[name])) break;
    }
  }
  const algorithms = {} as Record<AlgorithmName, Trial>;
  for (const name of ALGORITHM_NAMES) algorithms[name] = await accepts(ALGORITHMS[name]);
  const xfrmInterface = await attempt(() =>
    host.route.addLink({ name: 'x', info: { kind: 'xfrm', xfrm: { ifId: 1 } } }),
  );
  return { where: 'namespace', protocols, algorithms, xfrmInterface };
}

/** Milliseconds. */
const PATIENCE = 30_000;

/** The same by this command in a user namespace, where every user has all capabilities. */
function tryInUserNamespace(program: string): Promise<Trials | string> {
  const words = [
    '--user',
    '--map-root-user',
    '--net',
    process.execPath,
    program,
    'doctor',
    '--trials',
  ];
  return new Promise((resolve) => {
    execFile('unshare', words, { timeout: PATIENCE }, (error, stdout, stderr) => {
      if (error === null) {
        try {
          resolve(JSON.parse(stdout) as Trials);
        } catch {
          resolve(`unexpected output: ${stdout.slice(0, 100)}`);
        }
      } else if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        resolve('unshare (util-linux) is not installed');
      } else resolve(stderr.trim().split('\n')[0] || error.message);
    });
  });
}

/** Tries everything, here or in a user namespace. @param program the path of this command */
export async function tryAnywhere(program: string): Promise<Trials> {
  try {
    return await tryHere();
  } catch (error) {
    const found = await tryInUserNamespace(program);
    if (typeof found !== 'string') return { ...found, where: 'user-namespace' } as Trials;
    return { where: 'nowhere', reason: messageOf(error), userReason: found };
  }
}
