/**
 * Ask and act: SAs and policies listed, added, changed and removed, with the types in which the
 * events tell of them.
 * @module
 */
import { Connection, type DumpEnd, type RequestOptions } from '../netlink/connection.ts';
import { NETLINK_XFRM, NLM_F_REPLACE } from '../netlink/constants.ts';
import type { Request } from '../netlink/request.ts';
import { EncodeError } from '../wire/error.ts';
import type { Input } from '../wire/input.ts';
import { parseNetwork } from '../wire/network.ts';
import { attributeName } from './attributes.ts';
import { checkAlgorithm, checkProperties, shape } from './check.ts';
import type {
  AddressFilter,
  Mark,
  Migration,
  PolicyDefaults,
  SadAttributes,
  Selector,
  SpdAttributes,
} from './codec.ts';
import { decodeXfrmMessage } from './decode-message.ts';
import { encodeXfrm, type XfrmInput } from './encode.ts';
import { hintFor } from './hints.ts';
import { fixedSize, type MessageName } from './messages.ts';
import type { IpsecProto, PolicyDir, PolicyType } from './names.ts';
import type { Aevent, SpiAllocation, StateMigration, XfrmPolicy, XfrmState } from './objects.ts';
import * as parts from './parts.ts';
import type { XfrmMessage, XfrmRequest } from './requests.ts';
import * as S from './structs.ts';

export type { DumpEnd, RequestOptions };

/** What identifies an SA. */
export interface StateKey {
  readonly daddr: string;
  readonly spi: number;
  /** Default `esp`. */
  readonly proto?: IpsecProto | undefined;
  /** If the SA has one. */
  readonly mark?: Mark | undefined;
  /** For protocols other than ESP, AH and IPComp, which have no SPI. */
  readonly saddr?: string | undefined;
}

/** What identifies a policy: its index, or its selector. */
export interface PolicyKey {
  readonly dir: PolicyDir;
  readonly index?: number | undefined;
  readonly selector?: Input<Selector> | undefined;
  readonly mark?: Mark | undefined;
  readonly ifId?: number | undefined;
  /** Default `main`. */
  readonly type?: PolicyType | undefined;
}

/** Which SAs to list; the kernel itself does the choosing. */
export interface StateFilter {
  readonly proto?: IpsecProto | undefined;
  /** Source network, as `10.0.0.0/8` or an address. */
  readonly saddr?: string | undefined;
  /** Destination network. */
  readonly daddr?: string | undefined;
}

/** What became of a request that set something. */
export interface Taken {
  /**
   * Attributes that the kernel did not take, under its own names. A kernel passes over attributes
   * newer than itself without a word (net/xfrm/xfrm_user.c parses them liberally); for those that
   * came after kernel 5.10 the SA is read back to find out.
   */
  readonly notTaken: readonly string[];
  /** The kernel's words, if it had reservations. */
  readonly warning: string | undefined;
}

/** Properties of an SA whose attributes came after kernel 5.10. */
const RECENT: Readonly<Partial<Record<keyof XfrmState, string>>> = {
  mappingMaxAge: 'XFRMA_MTIMER_THRESH',
  dir: 'XFRMA_SA_DIR',
  natKeepaliveInterval: 'XFRMA_NAT_KEEPALIVE_INTERVAL',
  pcpu: 'XFRMA_SA_PCPU',
  iptfsDropTime: 'XFRMA_IPTFS_DROP_TIME',
  iptfsReorderWindow: 'XFRMA_IPTFS_REORDER_WINDOW',
  iptfsDontFrag: 'XFRMA_IPTFS_DONT_FRAG',
  iptfsInitDelay: 'XFRMA_IPTFS_INIT_DELAY',
  iptfsMaxQsize: 'XFRMA_IPTFS_MAX_QSIZE',
  iptfsPktSize: 'XFRMA_IPTFS_PKT_SIZE',
};

const STATE = shape(S.xfrm_usersa_info, parts.STATE);
const POLICY = shape(S.xfrm_userpolicy_info, parts.POLICY);

/**
 * Requests to the kernel's XFRM, over a socket of their own.
 *
 * Every method returns when the kernel has answered, and throws
 * - EncodeError for a value that is none, before anything is sent; it names the value's path,
 * - KernelError for a refusal, with the kernel's words, the attribute, and a hint,
 * - SystemError where no socket can be had.
 *
 * @example
 * await using client = new XfrmClient();
 * for await (const state of client.listStates()) console.log(state.daddr, state.spi);
 */
export class XfrmClient implements AsyncDisposable {
  readonly #connection = new Connection(NETLINK_XFRM);

  /** All SAs, larval ones included, or those a filter names. One piece of the list at a time. */
  listStates(
    filter: StateFilter = {},
    options?: RequestOptions,
  ): AsyncGenerator<XfrmState, DumpEnd, undefined> {
    const { proto, saddr, daddr } = filter;
    const attributes = {
      filterProto: proto,
      addressFilter: saddr || daddr ? addressFilter(saddr, daddr) : undefined,
    };
    return this.#list({ kind: 'request', message: 'GETSA', attributes }, options, (message) =>
      message.kind === 'NEWSA' ? message.state : undefined,
    );
  }

  /** One SA. @throws KernelError `ESRCH` if there is none */
  async getState(key: StateKey, options?: RequestOptions): Promise<XfrmState> {
    const message = { kind: 'request', message: 'GETSA', ...stateKey(key) } as const;
    return this.#one(message, options, (reply) =>
      reply.kind === 'NEWSA' ? reply.state : undefined,
    );
  }

  /** Adds an SA. @throws KernelError `EEXIST` if there is one */
  addState(state: Input<XfrmState>, options?: RequestOptions): Promise<Taken> {
    return this.#setState('NEWSA', state, options);
  }

  /** Changes an SA, or gives a larval one its keys. @throws KernelError `ESRCH` if there is none */
  updateState(state: Input<XfrmState>, options?: RequestOptions): Promise<Taken> {
    return this.#setState('UPDSA', state, options);
  }

  /** Deletes an SA. @throws KernelError `ESRCH` if there is none */
  async deleteState(key: StateKey, options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'DELSA', ...stateKey(key) }, options);
  }

  /** Deletes all SAs of a protocol, or all. */
  async flushStates(proto: IpsecProto = 'any', options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'FLUSHSA', proto }, options);
  }

  /**
   * Chooses a free SPI from `min` to `max` and makes a larval SA with it, which this returns.
   *
   * @throws KernelError `ENOENT` if none is free; a larval SA without SPI then stays until it times
   *   out (net.core.xfrm_acq_expires, 30 s; seen on 6.18)
   */
  async allocateSpi(
    allocation: Input<SpiAllocation>,
    options?: RequestOptions,
  ): Promise<XfrmState> {
    checkProperties(allocation, shape(S.xfrm_userspi_info, parts.ALLOCSPI), ['ALLOCSPI']);
    const message = { kind: 'request', message: 'ALLOCSPI', allocation } as const;
    return this.#one(message, options, (reply) =>
      reply.kind === 'NEWSA' ? reply.state : undefined,
    );
  }

  /** Says that an SA reached a limit; with a hard one, the kernel deletes it. */
  async expireState(key: StateKey, hard: boolean, options?: RequestOptions): Promise<void> {
    const { daddr, spi, proto = 'esp', mark } = key;
    const state = { daddr, spi, proto, mark };
    await this.#ask({ kind: 'request', message: 'EXPIRE', state, hard }, options);
  }

  /** All policies, main and sub. One piece of the list at a time. */
  listPolicies(options?: RequestOptions): AsyncGenerator<XfrmPolicy, DumpEnd, undefined> {
    const message = { kind: 'request', message: 'GETPOLICY', attributes: {} } as const;
    return this.#list(message, options, (reply) =>
      reply.kind === 'NEWPOLICY' ? reply.policy : undefined,
    );
  }

  /** One policy. @throws KernelError `ENOENT` if there is none */
  async getPolicy(key: PolicyKey, options?: RequestOptions): Promise<XfrmPolicy> {
    const message = { kind: 'request', message: 'GETPOLICY', ...policyKey(key) } as const;
    return this.#one(message, options, (reply) =>
      reply.kind === 'NEWPOLICY' ? reply.policy : undefined,
    );
  }

  /** Adds a policy. @throws KernelError `EEXIST` if there is one with its selector */
  addPolicy(policy: Input<XfrmPolicy>, options?: RequestOptions): Promise<Taken> {
    return this.#setPolicy('NEWPOLICY', policy, options);
  }

  /** Adds a policy, or replaces the one with its selector. */
  updatePolicy(policy: Input<XfrmPolicy>, options?: RequestOptions): Promise<Taken> {
    return this.#setPolicy('UPDPOLICY', policy, options);
  }

  /** Deletes a policy. @throws KernelError `ENOENT` if there is none */
  async deletePolicy(key: PolicyKey, options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'DELPOLICY', ...policyKey(key) }, options);
  }

  /** Deletes all policies of a type. */
  async flushPolicies(type: PolicyType = 'main', options?: RequestOptions): Promise<void> {
    const policyType = { type };
    await this.#ask({ kind: 'request', message: 'FLUSHPOLICY', policyType }, options);
  }

  /** The counters of an SA; `flags` asks for thresholds too. */
  async getAevent(aevent: Input<Aevent>, options?: RequestOptions): Promise<Aevent> {
    const message = { kind: 'request', message: 'GETAE', aevent } as const;
    return this.#one(message, options, (reply) =>
      reply.kind === 'NEWAE' ? reply.aevent : undefined,
    );
  }

  /** Sets counters and thresholds of an SA, which must not be larval. */
  async setAevent(aevent: Input<Aevent>, options?: RequestOptions): Promise<void> {
    const header = { flags: NLM_F_REPLACE };
    await this.#ask({ kind: 'request', message: 'NEWAE', header, aevent }, options);
  }

  /** Moves SAs and the policy that asks for them to other addresses. */
  async migrate(
    policy: PolicyKey,
    migrations: readonly Input<Migration>[],
    attributes: Extract<XfrmInput, { message: 'MIGRATE' }>['attributes'] = {},
    options?: RequestOptions,
  ): Promise<void> {
    const { id, attributes: more } = policyKey(policy);
    const all = { policyType: more.policyType, ...attributes };
    await this.#ask(
      { kind: 'request', message: 'MIGRATE', id, migrations, attributes: all },
      options,
    );
  }

  /** Moves one SA to other addresses (kernel 7.2; older ones: `EINVAL`). */
  async migrateState(migration: Input<StateMigration>, options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'MIGRATE_STATE', migration }, options);
  }

  /** How many SAs there are, and in how many hash buckets. */
  getSadInfo(options?: RequestOptions): Promise<SadAttributes> {
    // Without flags the kernel leaves parts of the answer out (net/xfrm/xfrm_user.c).
    return this.#one({ kind: 'request', message: 'GETSADINFO', flags: ALL }, options, (reply) =>
      reply.kind === 'NEWSADINFO' ? reply.sad : undefined,
    );
  }

  /** How many policies there are, in how many hash buckets, and from which prefix lengths. */
  getSpdInfo(options?: RequestOptions): Promise<SpdAttributes> {
    return this.#one({ kind: 'request', message: 'GETSPDINFO', flags: ALL }, options, (reply) =>
      reply.kind === 'NEWSPDINFO' ? reply.spd : undefined,
    );
  }

  /** Sets from which prefix lengths on policies are hashed. */
  async setSpdThresholds(
    spd: Input<Pick<SpdAttributes, 'ipv4Threshold' | 'ipv6Threshold'>>,
    options?: RequestOptions,
  ): Promise<void> {
    await this.#ask({ kind: 'request', message: 'NEWSPDINFO', flags: 0, spd }, options);
  }

  /** What happens to packets that no policy matches. */
  getDefaults(options?: RequestOptions): Promise<PolicyDefaults> {
    const message = { kind: 'request', message: 'GETDEFAULT', defaults: {} } as const;
    return this.#one(message, options, (reply) =>
      reply.kind === 'GETDEFAULT' ? reply.defaults : undefined,
    );
  }

  /** Sets it; a direction that is left out stays as it is. */
  async setDefaults(defaults: Input<PolicyDefaults>, options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'SETDEFAULT', defaults }, options);
  }

  /** Closes the sockets; requests under way are rejected. Can be called twice. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #setState(
    message: 'NEWSA' | 'UPDSA',
    state: Input<XfrmState>,
    options: RequestOptions | undefined,
  ): Promise<Taken> {
    checkProperties(state, STATE, [message]);
    for (const name of ['aead', 'crypt'] as const) checkAlgorithm(state[name], [message, name]);
    const { warning } = await this.#ask({ kind: 'request', message, state }, options);
    const recent = Object.keys(RECENT) as (keyof typeof RECENT)[];
    const asked = recent.filter((name) => state[name] !== undefined);
    if (asked.length === 0) return { notTaken: [], warning };
    const { daddr, spi, proto, mark, saddr } = state;
    const key = { daddr, spi, proto, mark, saddr } as StateKey;
    const found = await this.getState(key, options);
    const notTaken = asked.filter((name) => found[name] === undefined);
    return { notTaken: notTaken.map((name) => RECENT[name] as string), warning };
  }

  async #setPolicy(
    message: 'NEWPOLICY' | 'UPDPOLICY',
    policy: Input<XfrmPolicy>,
    options: RequestOptions | undefined,
  ): Promise<Taken> {
    checkProperties(policy, POLICY, [message]);
    const { warning } = await this.#ask({ kind: 'request', message, policy }, options);
    if (policy.offload === undefined) return { notTaken: [], warning };
    // XFRMA_OFFLOAD_DEV of policies came with 6.2.
    const found = await this.getPolicy({
      dir: policy.dir ?? 'in',
      selector: policy.selector,
      mark: policy.mark as Mark | undefined,
      ifId: policy.ifId,
    });
    return { notTaken: found.offload === undefined ? ['XFRMA_OFFLOAD_DEV'] : [], warning };
  }

  #ask(message: XfrmInput<XfrmRequest>, options: RequestOptions | undefined) {
    return this.#connection.request<XfrmMessage>(requestOf(message), decodeXfrmMessage, options);
  }

  async #one<Value>(
    message: XfrmInput<XfrmRequest>,
    options: RequestOptions | undefined,
    pick: (reply: XfrmMessage) => Value | undefined,
  ): Promise<Value> {
    const { replies } = await this.#ask(message, options);
    for (const reply of replies) {
      const value = pick(reply);
      if (value !== undefined) return value;
    }
    throw new Error(`the kernel acknowledged ${message.message} without an answer`);
  }

  async *#list<Value>(
    message: XfrmInput<XfrmRequest>,
    options: RequestOptions | undefined,
    pick: (reply: XfrmMessage) => Value | undefined,
  ): AsyncGenerator<Value, DumpEnd, undefined> {
    const list = this.#connection.dump<XfrmMessage>(requestOf(message), decodeXfrmMessage, options);
    for (;;) {
      const { value, done } = await list.next();
      if (done) return value;
      const picked = pick(value);
      if (picked !== undefined) yield picked;
    }
  }
}

const ALL = 0xffffffff;

/** A message as the connection sends it. */
function requestOf(message: XfrmInput<XfrmRequest>): Request {
  const name = message.message as MessageName;
  const full = `XFRM_MSG_${name}`;
  const dump = (name === 'GETSA' || name === 'GETPOLICY') && !('id' in message);
  return {
    name: full,
    flags: message.header?.flags ?? 0,
    fixed: dump ? 0 : fixedSize(name),
    write: (writer, header) => encodeXfrm(writer, { ...message, header }),
    attributeName,
    hint: (ack) => hintFor(full, ack),
  };
}

function stateKey({ daddr, spi, proto = 'esp', mark, saddr }: StateKey) {
  return { id: { daddr, spi, proto }, attributes: { mark, srcaddr: saddr } };
}

function policyKey({ dir, index, selector, mark, ifId, type }: PolicyKey) {
  if (index === undefined && selector === undefined) {
    throw new EncodeError('is missing: give the selector or the index', ['policy', 'selector']);
  }
  const policyType = type === undefined ? undefined : { type };
  return { id: { dir, index, selector }, attributes: { mark, ifId, policyType } };
}

function addressFilter(saddr: string | undefined, daddr: string | undefined): Input<AddressFilter> {
  const [source, splen] = prefix(saddr, 'saddr');
  const [destination, dplen] = prefix(daddr, 'daddr');
  return { saddr: source, splen, daddr: destination, dplen };
}

function prefix(text: string | undefined, name: string): [string | undefined, number] {
  if (text === undefined) return [undefined, 0];
  const network = parseNetwork(text);
  if (network === undefined) {
    throw new EncodeError(`${JSON.stringify(text)} is no network`, ['filter', name]);
  }
  return [network.address, network.bits];
}
