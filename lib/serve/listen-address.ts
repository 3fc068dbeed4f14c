/** Where to listen, and which names requests may call it by. @module */
import { isIP } from 'node:net';

export interface ListenAddress {
  /** An address, or undefined for all addresses. */
  readonly host: string | undefined;
  readonly port: number;
}

/** Parses `127.0.0.1:9786`, `[::1]:9786`, `:9786`; undefined if it is none of these. */
export function parseListen(text: string): ListenAddress | undefined {
  const [, six, four, digits = ''] = /^(?:\[([^\]]+)\]|([^[\]:]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || port > 65_535) return undefined;
  const host = six ?? (four || undefined);
  if (host === undefined) return { host, port };
  if (host === 'localhost') return { host: '127.0.0.1', port };
  return isIP(host) === (six === undefined ? 4 : 6) ? { host, port } : undefined;
}

export const formatListen = ({ host, port }: ListenAddress): string =>
  `${host === undefined ? '' : host.includes(':') ? `[${host}]` : host}:${port}`;

/** Whether only programs of this host can connect. */
export const isLoopback = (host: string | undefined): boolean =>
  host !== undefined && (/^127\./.test(host) || host === '::1');

/**
 * Whether a request's `Host` is acceptable. A page of someone else whose name was made to lead
 * here (DNS rebinding) has that name in it; an address cannot be made to lead elsewhere.
 */
export function isHostAllowed(header: string | undefined, names: ReadonlySet<string>): boolean {
  if (header === undefined) return false;
  const [, six, other = ''] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/.exec(header) ?? [];
  if (six !== undefined) return isIP(six) === 6;
  const name = other.toLowerCase();
  return isIP(name) === 4 || name === 'localhost' || names.has(name);
}
