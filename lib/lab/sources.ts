import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from './errors.ts';

/** A source of binary packages for apt. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  readonly components: readonly string[];
  /** `Signed-By`: path to a keyring, or an embedded key; empty if not given. */
  readonly signedBy: string;
}

/** The keyring of Debian's package `debian-archive-keyring`; trixie's renamed it to .pgp. */
const DEBIAN_KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

/** Suites whose archive also holds every other current suite. */
const DEBIAN_SUITE =
  /^(buster|bullseye|bookworm|trixie|forky|duke|sid|unstable|testing|stable|oldstable|oldoldstable)$/;

/** Reads a one-line-style file (sources.list(5)). */
export function parseListFile(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
    if (!match) continue;
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1] ?? '';
    sources.push({ uri, suite, components: components.split(/\s+/).filter(Boolean), signedBy });
  }
  return sources;
}

/** Reads a deb822-style file (sources.list(5)): paragraphs of `Field: value`. */
export function parseSourcesFile(text: string): AptSource[] {
  const sources: AptSource[] = [];
  // Comment lines may occur within a paragraph, even within a field's value.
  const paragraphs = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n[ \t]*\n/);
  for (const paragraph of paragraphs) {
    const fields = new Map<string, string>();
    let field = '';
    for (const line of paragraph.split('\n')) {
      const start = /^([A-Za-z0-9-]+):[ \t]*(.*)$/.exec(line);
      if (start) {
        field = (start[1] ?? '').toLowerCase();
        fields.set(field, start[2] ?? '');
      } else if (field !== '' && /^[ \t]/.test(line)) {
        fields.set(field, `${fields.get(field)}\n${line}`);
      }
    }
    const words = (name: string) => (fields.get(name) ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb')) continue;
    if (/^(no|false|without|off|disable)$/i.test((fields.get('enabled') ?? '').trim())) continue;
    for (const uri of words('uris')) {
      for (const suite of words('suites')) {
        sources.push({
          uri,
          suite,
          components: words('components'),
          signedBy: (fields.get('signed-by') ?? '').trim(),
        });
      }
    }
  }
  return sources;
}

/** All apt sources of the machine, in the order apt reads them. */
export function readMachineSources(etc = '/etc/apt'): AptSource[] {
  const sources: AptSource[] = [];
  const read = (path: string) => {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      return;
    }
    sources.push(...(path.endsWith('.sources') ? parseSourcesFile(text) : parseListFile(text)));
  };
  read(join(etc, 'sources.list'));
  const parts = join(etc, 'sources.list.d');
  if (existsSync(parts)) {
    for (const name of readdirSync(parts).sort()) {
      if (/^[A-Za-z0-9_.-]+\.(list|sources)$/.test(name)) read(join(parts, name));
    }
  }
  return sources;
}

/**
 * How likely a source is the Debian archive itself: 0 means it is not. Other vendors use Debian's suite names too, so
 * the name alone proves nothing; a wrong guess fails signature verification and does no harm.
 */
function likeness(source: AptSource): number {
  if (!DEBIAN_SUITE.test(source.suite) || !source.components.includes('main')) return 0;
  if (/security|updates|backports|cdrom:/.test(source.uri)) return 0;
  const last = source.uri.replace(/\/+$/, '').split('/').pop() ?? '';
  const named = /^debian([._-]|$)/.test(last);
  if (/debian-archive/.test(source.signedBy)) return named ? 4 : 3;
  // Its own key, unless it is Debian's, means another vendor.
  if (source.signedBy !== '') return 0;
  return named ? 2 : 0;
}

/** Address and signing key of the Debian archive to use. */
export interface Archive {
  readonly uri: string;
  readonly signedBy: string;
}

/**
 * Chooses the archive: NETLINK_XFRM_MIRROR (and NETLINK_XFRM_KEYRING), else the machine's apt
 * sources. No address is built in. Throws `LAB_MIRROR` or `LAB_KEYRING`.
 */
export function chooseArchive(
  sources: readonly AptSource[],
  env: NodeJS.ProcessEnv = process.env,
  exists: (path: string) => boolean = existsSync,
): Archive {
  const best = sources
    .map((source) => ({ source, score: likeness(source) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)[0]?.source;
  const uri = env.NETLINK_XFRM_MIRROR || best?.uri;
  if (uri === undefined) {
    throw new LabError(
      'LAB_MIRROR',
      "No Debian archive is known: this machine's apt sources name none.",
      'Set NETLINK_XFRM_MIRROR to the address of a Debian archive (the URL that ends in /debian).',
    );
  }
  if (!/^[a-z][a-z0-9+.-]*:\S+$/.test(uri)) {
    throw new LabError(
      'LAB_MIRROR',
      `${JSON.stringify(uri)} is not the URL of a package archive.`,
      'Set NETLINK_XFRM_MIRROR to a URL such as http://HOST/debian.',
    );
  }
  const signedBy =
    env.NETLINK_XFRM_KEYRING ||
    DEBIAN_KEYRINGS.find((path) => exists(path)) ||
    // Without a mirror set by the caller, the keys that the machine trusts for its archive are used.
    (env.NETLINK_XFRM_MIRROR ? '' : (best?.signedBy ?? ''));
  const usable = signedBy.startsWith('/') ? exists(signedBy) : signedBy !== '';
  if (!usable) {
    throw new LabError(
      'LAB_KEYRING',
      `The keys that sign the Debian archive are not on this machine (${signedBy || DEBIAN_KEYRINGS[0]}).`,
      'Install the package debian-archive-keyring, or set NETLINK_XFRM_KEYRING to its keyring file.',
    );
  }
  return { uri, signedBy };
}
