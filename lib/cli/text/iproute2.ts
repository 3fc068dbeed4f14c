/**
 * XFRM messages as `ip xfrm monitor file FILE` prints them (iproute2 7.3.0), for people and scripts
 * used to that format. Derived from its output and its manual page.
 *
 * Differences and their reasons are listed and tested in test/unit/iproute2.ts.
 * @module
 */
import { once } from '../../base/once.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, readAddress, writeAddress } from '../../wire/address.ts';
import type { KernelBool } from '../../wire/names.ts';
import { truthByte } from '../../wire/names.ts';
import { escaped, UNSEEN } from '../../wire/text.ts';
import type { XfrmEvent } from '../../xfrm/events.ts';
import {
  IpsecProto,
  PolicyAction,
  type PolicyDefault,
  PolicyDir,
  PolicyType,
  StateDir,
  XfrmFamily,
  XfrmMode,
} from '../../xfrm/names.ts';
import type { XfrmAcquire, XfrmPolicy, XfrmState } from '../../xfrm/objects.ts';
import type {
  AeadAlgorithm,
  AuthAlgorithm,
  PolicyTemplate,
  XfrmAlgorithm,
  XfrmSelector,
} from '../../xfrm/types.ts';
import { formatLocalTime } from './local-time.ts';
import type { MachineNames } from './machine-names.ts';

/** The iproute2 release whose output this reproduces. */
export const IPROUTE2_VERSION = '7.3.0';

/** What the output depends on besides the messages. */
export interface Iproute2Options {
  /** Whether to show keys. */
  readonly showKeys: boolean;
  readonly names: MachineNames;
}

const hex = (value: number) => (value === 0 ? '0' : `0x${value.toString(16)}`);
const hex8 = (value: number) => value.toString(16).padStart(8, '0');
const family = (value: XfrmFamily) => XfrmFamily.number(value, 'family');

/**
 * Characters that control a terminal, reorder text or are invisible, and bytes that are Latin-1 control characters: ip
 * prints them unescaped.
 */
const unsafe = once(() => new RegExp(`[${UNSEEN}\\udc80-\\udc9f]`, 'gu'));
const safe = (text: string) => text.replace(unsafe(), escaped);

/** For this family (`linux/socket.h`) ip prints raw bytes; for all but these three, question marks. */
const AF_PACKET = 17;

const scratch = new Uint8Array(16);

/** An address in the family that ip uses; `own` is the one its text is in. */
function address(text: string, by: number, own = by): string {
  if (by !== AF_INET && by !== AF_INET6 && by !== AF_PACKET) return '???';
  if (own !== by || by === AF_PACKET) {
    scratch.fill(0);
    writeAddress(scratch, 0, text, own, 'address');
    if (by === AF_PACKET) return Buffer.from(scratch).toString('hex').match(/../g)?.join(':') ?? '';
    text = readAddress(scratch, 0, by);
  }
  // The C library prints these as IPv4; RFC 5952 section 5 does not require it.
  const [, high, low] = /^::([0-9a-f]+):([0-9a-f]+)$/.exec(text) ?? [];
  if (high === undefined || low === undefined) return text;
  const [upper, lower] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return `::${upper >> 8}.${upper & 0xff}.${lower >> 8}.${lower & 0xff}`;
}

const PROTO_NAMES = new Map([
  [43, 'route2'],
  [50, 'esp'],
  [51, 'ah'],
  [60, 'hao'],
  [108, 'comp'],
  [255, 'ipsec-any'],
]);
const MODE_NAMES = ['transport', 'tunnel', 'ro', 'in_trigger', 'beet'];
const POLICY_DIR_NAMES = ['in', 'out', 'fwd'];
const POLICY_TYPE_NAMES = ['main', 'sub'];

const protoName = (proto: IpsecProto): string => {
  const number = IpsecProto.number(proto, 'proto');
  return PROTO_NAMES.get(number) ?? `${number}`;
};
const modeName = (mode: XfrmMode): string => {
  const number = XfrmMode.number(mode, 'mode');
  return MODE_NAMES[number] ?? `${number}`;
};

/** Formats messages. */
export class Iproute2Format {
  readonly #showKeys: boolean;
  readonly #names: MachineNames;

  constructor({ showKeys, names }: Iproute2Options) {
    this.#showKeys = showKeys;
    this.#names = names;
  }

  /** Output for a message, including line breaks. */
  format(event: XfrmEvent, length: number): string {
    switch (event.kind) {
      case 'NEWSA':
        return this.#state(event.state);
      case 'UPDSA':
        return `Updated ${this.#state(event.state)}`;
      case 'DELSA':
        return `Deleted ${this.#state(event.state)}`;
      case 'EXPIRE':
        return `Expired ${this.#state(event.state)}\thard ${truthByte(event.hard)}\n`;
      case 'FLUSHSA':
        return `Flushed state proto ${protoName(event.proto)}\n`;
      case 'NEWPOLICY':
        return this.#policy(event.policy);
      case 'UPDPOLICY':
        return `Updated ${this.#policy(event.policy)}`;
      case 'DELPOLICY':
        return `Deleted ${this.#policy(event.policy)}`;
      case 'POLEXPIRE':
        return `Expired ${this.#policy(event.policy)}\thard ${truthByte(event.hard)}\n`;
      case 'FLUSHPOLICY':
        return `Flushed policy ${policyType(event.policyType)}\n`;
      case 'GETDEFAULT': {
        const name = (value: PolicyDefault) => (typeof value === 'number' ? 'unknown' : value);
        const { in: inbound, fwd, out } = event.defaults;
        return `Default policies:\n in:  ${name(inbound)}\n fwd: ${name(fwd)}\n out: ${name(out)}\n`;
      }
      case 'ACQUIRE':
        return this.#acquire(event.acquire);
      case 'NEWAE': {
        const { flags, saddr, daddr, reqid, proto, spi } = event.aevent;
        const by = family(event.aevent.family);
        const causes = [
          [0x10, ' replay update '],
          [0x20, ' timer expired '],
          [0x40, ' policy updated '],
        ] as const;
        const why = causes.map(([bit, text]) => (flags.mask & bit ? text : '')).join('');
        return (
          `Async event  (0x${flags.mask.toString(16)}) ${why}\n` +
          `\tsrc ${address(saddr, by)} dst ${address(daddr, by)}  ${this.#named(reqid, proto, spi)}`
        );
      }
      case 'MAPPING': {
        const { daddr, reqid, proto, spi, oldSaddr, oldSport, newSaddr, newSport } = event.mapping;
        const by = family(event.mapping.family);
        return (
          `Mapping change ${address(oldSaddr, by)}:${oldSport} -> ${address(newSaddr, by)}:${newSport}\n` +
          `\tdst ${address(daddr, by)}  ${this.#named(reqid, proto, spi)}`
        );
      }
      case 'REPORT': {
        const { proto, selector, coaddr } = event.report;
        const by = family(selector.family);
        const coa = coaddr === undefined ? '' : `  coa ${address(coaddr, by)}\n`;
        return `report proto ${protoName(proto)} \n  sel ${this.#selector(selector, by)}${coa}`;
      }
      case 'unknown':
      case 'MIGRATE':
      case 'MIGRATE_STATE':
        return unknownMessage(event.header.type, event.header.flags, length);
    }
  }

  /**
   * Partial output for a message that cannot be decoded: for a DELSA or DELPOLICY without its object
   * (as in requests), ip has already printed this when it gives up.
   */
  malformed([name, attribute]: readonly string[]): string {
    const object = name === 'DELSA' ? 'XFRMA_SA' : name === 'DELPOLICY' ? 'XFRMA_POLICY' : '';
    return object !== '' && object === attribute ? 'Deleted ' : '';
  }

  #named(reqid: number, proto: IpsecProto, spi: number): string {
    const name = this.#names.protocol(IpsecProto.number(proto, 'proto'));
    return `reqid 0x${reqid.toString(16)} protocol ${name}  SPI 0x${spi.toString(16)}\n`;
  }

  #state(state: XfrmState): string {
    const by = family(state.family);
    const flags = state.flags.names.join(' ');
    let text = `src ${address(state.saddr, by)} dst ${address(state.daddr, by)}\n`;
    // A zero SPI is only shown for protocols that have one.
    const shown = /^(esp|ah|comp)$/.test(`${state.proto}`);
    text += `\tproto ${protoName(state.proto)} ${shown ? `spi 0x${hex8(state.spi)} ` : spi(state.spi)}reqid ${state.reqid} mode ${modeName(state.mode)}\n`;
    text += `\treplay-window ${state.replayWindow} ${flags === '' ? '' : `flag ${flags}`}\n`;
    text += marks(state);
    if (state.authTrunc) {
      text += `\tauth-trunc ${this.#algorithm(state.authTrunc)} ${state.authTrunc.truncBits | 0}\n`;
    } else if (state.auth) text += `\tauth ${this.#algorithm(state.auth)}\n`;
    if (state.aead) text += `\taead ${this.#algorithm(state.aead)} ${state.aead.icvBits | 0}\n`;
    if (state.crypt) text += `\tenc ${this.#algorithm(state.crypt)}\n`;
    if (state.comp) text += `\tcomp ${this.#algorithm(state.comp)}\n`;
    if (state.encap) {
      const { type, sport, dport, oa } = state.encap;
      const name = type === 'none' ? 0 : type;
      text += `\tencap type ${name} sport ${sport} dport ${dport} addr ${address(oa, by)}\n`;
    }
    if (state.coaddr !== undefined) text += `\tcoa ${address(state.coaddr, by)}\n`;
    if (state.lastUsedAt !== undefined) {
      const seconds = state.exact?.lastUsedAt ?? BigInt(state.lastUsedAt / 1000);
      text += `\tlastused ${formatLocalTime(seconds)}\n`;
    }
    if (state.replay) {
      const { seq, oseq, bitmap } = state.replay;
      text += `\tanti-replay context: seq 0x${seq.toString(16)}, oseq 0x${oseq.toString(16)}, bitmap 0x${hex8(bitmap)}\n`;
    }
    if (state.replayEsn) {
      const { seqHi, seq, oseqHi, oseq, replayWindow, bitmap } = state.replayEsn;
      text += '\tanti-replay esn context:\n';
      text += `\t seq-hi 0x${seqHi.toString(16)}, seq 0x${seq.toString(16)}, oseq-hi 0x${oseqHi.toString(16)}, oseq 0x${oseq.toString(16)}\n`;
      text += `\t replay_window ${replayWindow}, bitmap-length ${bitmap.length}\n`;
      const words = bitmap.toReversed().map((word) => `${hex8(word)} `);
      for (let i = 0; i < words.length; i += 8) text += `\t ${words.slice(i, i + 8).join('')}\n`;
    }
    if (state.offload) {
      const { ifindex, flags } = state.offload;
      text += `\tcrypto offload parameters: dev ${this.#device(ifindex)} dir ${flags.mask & 2 ? 'in' : 'out'} mode ${offloadMode(flags)}\n`;
    }
    if (state.ifId !== undefined) text += `\tif_id ${hex(state.ifId)}\n`;
    if (state.tfcPad !== undefined) text += `\ttfcpad ${state.tfcPad}\n`;
    if (state.dir !== undefined) {
      const number = StateDir.number(state.dir, 'dir');
      text += `\tdir ${number === 1 || number === 2 ? state.dir : `other (${number})`}\n`;
    }
    if (state.pcpu !== undefined) text += `\tpcpu-num ${state.pcpu}\n`;
    if (!isEmpty(state.selector)) {
      const selected = family(state.selector.family) || by;
      text += `\tsel ${this.#selector(state.selector, selected)}`;
    }
    return text + securityContext(state);
  }

  #policy(policy: XfrmPolicy, prefix = '', by = family(policy.selector.family)): string {
    let text = this.#selector(policy.selector, by);
    text += securityContext(policy);
    const dir = PolicyDir.number(policy.dir, 'dir');
    const action = PolicyAction.number(policy.action, 'action');
    text += `${prefix}\t`;
    if (dir < 3) text += `dir ${POLICY_DIR_NAMES[dir]} `;
    else text += `socket ${POLICY_DIR_NAMES[dir - 3] ?? dir - 3} `;
    if (action !== 0) text += `action ${action === 1 ? 'block' : action} `;
    text += `priority ${policy.priority} ${policyType(policy.policyType)}`;
    const { mask } = policy.flags;
    if (mask !== 0) {
      const flags = [
        ...(mask & 1 ? ['localok'] : []),
        ...(mask & 2 ? ['icmp'] : []),
        ...(mask & ~3 ? [(mask & ~3).toString(16)] : []),
      ];
      text += `flag ${flags.join(' ')}`;
    }
    text += '\n';
    text += marks(policy);
    if (policy.templates?.length === 0) text += `${prefix}\t(ERROR "tmpl" truncated)\n`;
    for (const template of policy.templates ?? []) text += templateLines(template, prefix);
    if (policy.offload) {
      const { ifindex, flags } = policy.offload;
      text += `${prefix}\tcrypto offload parameters: dev ${this.#device(ifindex)} mode ${offloadMode(flags)}\n`;
    }
    if (policy.ifId !== undefined) text += `${prefix}\tif_id ${hex(policy.ifId)}\n`;
    return text;
  }

  #acquire(acquire: XfrmAcquire): string {
    const { selector, policy, ...attributes } = acquire;
    const own = family(policy.selector.family);
    const by = family(selector.family) || own;
    let text = `acquire proto ${protoName(acquire.proto)} ${spi(acquire.spi)}\n`;
    text += `  sel ${this.#selector(selector, by)}`;
    const { templates, policyType, mark, ifId, offload, securityContext } = attributes;
    const whole = { ...policy, templates, policyType, mark, ifId, offload, securityContext };
    text += `  policy ${this.#policy(whole as XfrmPolicy, '    ', own)}`;
    if (acquire.pcpu !== undefined) text += `\tpcpu-num ${acquire.pcpu}\n`;
    return `${text}\n`;
  }

  #selector(selector: XfrmSelector, by: number): string {
    const { saddr, daddr, prefixlenS, prefixlenD, proto, sport, dport } = selector;
    // The text is in the selector's family, or in that of the enclosing SA.
    const own = family(selector.family) || (/[.:]/.test(saddr + daddr) ? by : AF_UNSPEC);
    let text = `src ${address(saddr, by, own)}/${prefixlenS} dst ${address(daddr, by, own)}/${prefixlenD} `;
    if (proto !== 0) text += `proto ${this.#names.protocol(proto)} `;
    const from = selector.sportMask !== 0;
    const to = selector.dportMask !== 0;
    switch (proto) {
      case 1:
      case 58:
        if (from) text += `type ${sport} `;
        if (to) text += `code ${dport} `;
        break;
      case 135:
        if (from) text += `type ${sport} `;
        break;
      case 47:
        if (from || to) text += `key ${sport * 0x10000 + dport} `;
        break;
      default:
        if (from) text += `sport ${sport} `;
        if (to) text += `dport ${dport} `;
    }
    if (selector.ifindex > 0) text += `dev ${this.#device(selector.ifindex)} `;
    return `${text}\n`;
  }

  #algorithm({ name, keyBits, key }: XfrmAlgorithm | AuthAlgorithm | AeadAlgorithm): string {
    // ip prints only whole bytes.
    const length = Math.floor(keyBits / 8);
    const bytes = this.#showKeys ? key?.bytes().subarray(0, length) : undefined;
    const shown =
      length === 0 ? '' : bytes ? `0x${Buffer.from(bytes).toString('hex')}` : '<<Keys hidden>>';
    return `${safe(name)} ${shown}`;
  }

  #device(ifindex: number): string {
    if (ifindex === 0) return '*';
    return safe(this.#names.device(ifindex) ?? `if${ifindex >>> 0}`);
  }
}

/** Output for a message type that ip does not know. */
function unknownMessage(type: number, flags: number, length: number): string {
  // No output for NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE.
  if (type >= 1 && type <= 3) return '';
  return `Unknown message: ${`${length}`.padStart(8, '0')} 0x${hex8(type)} 0x${hex8(flags)}\n`;
}

const spi = (value: number) => (value === 0 ? '' : `spi 0x${hex8(value)} `);

const offloadMode = ({ mask }: { mask: number }) => (mask & 4 ? 'packet' : 'crypto');

function policyType(info: { type: PolicyType } | undefined): string {
  if (info === undefined) return '';
  const number = PolicyType.number(info.type, 'type');
  return `ptype ${POLICY_TYPE_NAMES[number] ?? number} `;
}

function marks({
  mark,
  setMark,
  setMarkMask,
}: Pick<XfrmState, 'mark' | 'setMark' | 'setMarkMask'>): string {
  if (mark === undefined && setMark === undefined) return '';
  let text = '\t';
  if (mark) text += `mark ${hex(mark.value)}/${hex(mark.mask)} `;
  if (setMark !== undefined) {
    text += `output-mark 0x${setMark.toString(16)}`;
    if (setMarkMask !== undefined) text += `/0x${setMarkMask.toString(16)}`;
  }
  return `${text}\n`;
}

function securityContext({ securityContext: context }: Pick<XfrmState, 'securityContext'>): string {
  if (context === undefined) return '';
  return `\tsecurity context ${safe(context.label.replace(/\0.*$/s, ''))} \n`;
}

function templateLines(template: PolicyTemplate, prefix: string): string {
  const by = family(template.family);
  const level = levelName(template.optional);
  return (
    `${prefix}\ttmpl src ${address(template.saddr, by)} dst ${address(template.daddr, by)}\n` +
    `${prefix}\t\tproto ${protoName(template.proto)} ${spi(template.spi)}reqid ${template.reqid} mode ${modeName(template.mode)}\n` +
    (level === '' ? '' : `${prefix}\t\tlevel ${level} \n`)
  );
}

const levelName = (optional: KernelBool): string => {
  const byte = truthByte(optional);
  return byte === 0 ? '' : byte === 1 ? 'use' : `${byte}`;
};

/** Whether the selector matches everything: ip then omits it. */
function isEmpty({ saddr, daddr, ...numbers }: XfrmSelector): boolean {
  const zero = (text: string) => text === 'any' || text === '0.0.0.0' || text === '::';
  const rest = { ...numbers, family: family(numbers.family) };
  return zero(saddr) && zero(daddr) && Object.values(rest).every((value) => value === 0);
}
