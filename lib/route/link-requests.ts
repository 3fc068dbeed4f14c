/**
 * The content of requests for links.
 * @module
 */

import { shown } from '../base/shown.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../netlink/constants.ts';
import { checkProperties } from '../wire/check.ts';
import type { Encodable } from '../wire/encodable.ts';
import { EncodeError } from '../wire/error.ts';
import { type Member, shapeWith } from '../wire/shape.ts';
import { textBytes, textSize } from '../wire/text.ts';
import { RTEXT_FILTER_BRVLAN_COMPRESSED } from './constants.ts';
import type { MessageName } from './messages.ts';
import type { Link } from './objects.ts';
import { checkObject, type Question } from './question.ts';

/** Identifies a link by its index, or by its name, which may be an alternative name. */
export type LinkKey = { readonly index: number } | { readonly name: string };

/** Which links to list. */
export interface LinkFilter {
  /** The kind, such as `veth` or `xfrm`. */
  readonly kind?: string | undefined;
  /** Interface index of the bridge, bond or VRF they belong to. */
  readonly master?: number | undefined;
}

/**
 * Where to move a link: the network namespace of a process, an open one, or one at a path such as
 * `/run/netns/NAME`; optionally with a new name.
 */
export type LinkDestination = (
  | { readonly pid: number }
  | { readonly fd: number }
  | { readonly netns: string }
) & { readonly name?: string };

type Request = Question<'link'>;

const FILTER = shapeWith({ kind: 'text', master: 'other' } satisfies Record<
  keyof LinkFilter,
  Member['holds']
>);
const DESTINATION = shapeWith({ pid: 'other', fd: 'other', netns: 'text', name: 'text' });

/** Maximum bytes of a name, without the NUL (IFNAMSIZ of `linux/if.h`). */
const NAME_LENGTH = 15;
/** Bytes of an alternative name, with a NUL (ALTIFNAMSIZ, `linux/if.h`). */
const ALT_NAME_LENGTH = 127;

/** Refuses interface names that the kernel would refuse (net/core/dev.c, dev_valid_name). */
function checkName(name: string, path: readonly string[], most = NAME_LENGTH): void {
  const refuse = (reason: string) => {
    throw new EncodeError(`invalid interface name ${shown(name)}: ${reason}`, path);
  };
  if (typeof name !== 'string' || name === '') refuse('expected a non-empty string');
  const size = textSize(name, ...path);
  if (size > most) refuse(`${size} bytes; at most ${most} are allowed`);
  if (name === '.' || name === '..' || /[\t-\r /:\0]/.test(name)) {
    refuse('it must not be "." or ".." or contain white space, "/" or ":"');
  }
  // Also the Latin-1 no-break space (lib/ctype.c), even as a byte inside a UTF-8 character.
  if (most === NAME_LENGTH && textBytes(name).includes(0xa0)) {
    refuse('the kernel treats its byte 0xa0 as white space');
  }
}

/** A key in the form a request uses. @throws EncodeError if it has neither index nor name */
export function linkKey(key: LinkKey, message: MessageName): Encodable<Link> {
  if (typeof key !== 'object' || key === null) throw new EncodeError('must be an object', ['key']);
  if ('index' in key && key.index !== undefined) {
    if (!Number.isInteger(key.index) || key.index < 1) {
      throw new EncodeError(
        `invalid value ${shown(key.index)}: expected an interface index (1 or more)`,
        [message, 'index'],
      );
    }
    return { index: key.index };
  }
  const { name } = key as { name: string };
  checkName(name, [message, 'name'], ALT_NAME_LENGTH);
  return textSize(name, 'name') <= NAME_LENGTH ? { name } : { altName: name };
}

/** A link to create or change; the given flags are the ones to change. */
function complete(link: Encodable<Link>): Encodable<Link> {
  checkObject('link', link, 'NEWLINK');
  if (link.properties !== undefined) {
    const reason = 'has no effect here: use addLinkAltNames for alternative names';
    throw new EncodeError(reason, ['NEWLINK', 'properties']);
  }
  if (link.name !== undefined) checkName(link.name, ['NEWLINK', 'name']);
  const peer = link.info?.veth?.peer?.name;
  if (peer !== undefined) checkName(peer, ['NEWLINK', 'info', 'veth', 'peer', 'name']);
  const whole = withVlanFlags(link);
  return link.flags === undefined ? whole : { change: link.flags, ...whole };
}

/** All known flags (VLAN_FLAG_ of `linux/if_vlan.h`). */
const VLAN_FLAGS = 0x1f;
/** The mask in dumps (net/8021q/vlan_netlink.c, vlan_fill_info). */
const ALL = 0xffff_ffff;

/**
 * Fixes the flags of a listed VLAN: the kernel refuses the mask it dumps (vlan_dev.c,
 * vlan_dev_change_flags).
 */
function withVlanFlags(link: Encodable<Link>): Encodable<Link> {
  const { info } = link;
  const flags = info?.vlan?.flags;
  if (flags?.mask !== ALL || typeof flags.flags !== 'number') return link;
  const mask = (VLAN_FLAGS | flags.flags) >>> 0;
  return { ...link, info: { ...info, vlan: { ...info?.vlan, flags: { ...flags, mask } } } };
}

export function listLinks(filter: LinkFilter): Request {
  checkProperties(filter, FILTER, ['filter']);
  const { kind, master } = filter;
  // With any of these bits the kernel computes the size of the longest message. Otherwise it
  // silently omits a link whose message exceeds 32 KiB (rtnl_calcit of net/core/rtnetlink.c; seen:
  // 6.18). This bit adds nothing to the message of a link.
  const extMask = RTEXT_FILTER_BRVLAN_COMPRESSED;
  const value = { info: kind === undefined ? undefined : { kind }, master, extMask };
  // The kernel ignores the filter if the kind is unknown or its module is not loaded
  // (net/core/rtnetlink.c, rtnl_dump_ifinfo).
  const keep = kind === undefined ? undefined : ({ info }: Link) => info?.kind === kind;
  return { message: 'GETLINK', about: 'link', value, keep };
}

export const getLink = (key: LinkKey): Request => ({
  message: 'GETLINK',
  about: 'link',
  value: linkKey(key, 'GETLINK'),
});

export function addLink(link: Encodable<Link>): Request {
  const value = complete(link);
  if (link.info?.kind === undefined) {
    throw new EncodeError('is missing', ['NEWLINK', 'info', 'kind']);
  }
  return { message: 'NEWLINK', about: 'link', value, flags: NLM_F_CREATE | NLM_F_EXCL };
}

/**
 * By index: a request that renames a link cannot also carry its old name. The index stays the same.
 */
export function updateLink(changes: Encodable<Link>): (index: number) => Request {
  const value = complete(changes);
  const change = changes.flags === undefined ? {} : { change: changes.change ?? 0xffffffff };
  return (index) => {
    if ((changes.index ?? index) !== index) {
      const reason = `is ${shown(changes.index)}, but the link’s index is ${index} and cannot be changed`;
      throw new EncodeError(reason, ['NEWLINK', 'index']);
    }
    return { message: 'NEWLINK', about: 'link', value: { ...value, ...change, index } };
  };
}

/** Adds or removes alternative names. */
export function altNames(
  message: 'NEWLINKPROP' | 'DELLINKPROP',
  key: LinkKey,
  names: readonly string[],
): Request {
  if (!Array.isArray(names)) throw new EncodeError('must be an array', [message, 'names']);
  for (const [i, name] of names.entries()) {
    checkName(name, [message, `names[${i}]`], ALT_NAME_LENGTH);
  }
  const value = { ...linkKey(key, message), properties: { altNames: names } };
  return { message, about: 'link', value };
}

export const switchLink = (key: LinkKey, on: boolean): Request => ({
  message: 'NEWLINK',
  about: 'link',
  value: { ...linkKey(key, 'NEWLINK'), flags: on ? ['up'] : [], change: ['up'] },
});

/** The request that moves a link, by its index; the path of a namespace must be opened for it. */
export function moveLink(to: LinkDestination): {
  readonly netns: string | undefined;
  request(index: number, opened?: number): Request;
} {
  checkProperties(to, DESTINATION, ['to']);
  const { pid, fd, netns, name } = to as {
    pid?: number;
    fd?: number;
    netns?: string;
    name?: string;
  };
  if ([pid, fd, netns].filter((one) => one !== undefined).length !== 1) {
    throw new EncodeError('needs exactly one of pid, fd and netns', ['to']);
  }
  if (netns === '') throw new EncodeError('must be a non-empty path', ['to', 'netns']);
  if (name !== undefined) checkName(name, ['to', 'name']);
  return {
    netns,
    request: (index, opened) => {
      const value = { index, name, netNsPid: pid, netNsFd: fd ?? opened };
      return { message: 'NEWLINK', about: 'link', value };
    },
  };
}

export const deleteLink = (key: LinkKey): Request => ({
  message: 'DELLINK',
  about: 'link',
  value: linkKey(key, 'DELLINK'),
});
