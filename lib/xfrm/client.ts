/**
 * Lists, adds, changes and deletes SAs and policies, with the same types as the events.
 * @module
 */
import { shallowCopy } from '../base/shallow-copy.ts';
import {
  type ClientOptions,
  Connection,
  type RequestOptions,
  withoutAnswer,
} from '../netlink/connection.ts';
import { NETLINK_XFRM, NLM_F_REPLACE } from '../netlink/constants.ts';
import { BY_PIECES, Dump, tableLists } from '../netlink/dump.ts';
import type { DecodeMessage } from '../netlink/event.ts';
import { KernelError } from '../netlink/kernel-error.ts';
import type { Request } from '../netlink/request.ts';
import { checkProperties } from '../wire/check.ts';
import type { Encodable } from '../wire/encodable.ts';
import { checkAlgorithm } from './algorithms.ts';
import { type ApplyResult, leftOut, mayBeLeftOut, RECENT, RECENT_POLICY } from './apply-result.ts';
import type { Body } from './bodies.ts';
import { decodeXfrmMessage } from './decode-message.ts';
import { type EncodableXfrmMessage, encodeXfrm } from './encode.ts';
import { hintFor } from './hints.ts';
import { bodyOf } from './messages.ts';
import type { IpsecProto, PolicyType } from './names.ts';
import {
  checkStateKey,
  type PolicyFilter,
  type PolicyKey,
  policyFilter,
  policyKey,
  type StateFilter,
  type StateKey,
  stateFilter,
  stateKey,
} from './object-keys.ts';
import type {
  SpiAllocation,
  XfrmAevent,
  XfrmPolicy,
  XfrmState,
  XfrmStateMigration,
} from './objects.ts';
import type { XfrmMessage, XfrmRequest } from './requests.ts';
import { takeNetworks, takeNetworksOf } from './selector.ts';
import * as shapes from './shapes.ts';
import { describePolicy, describeRequest, describeState } from './text.ts';
import type {
  PolicyDefaults,
  PolicyTemplate,
  SadAttributes,
  SpdAttributes,
  XfrmMark,
  XfrmMigration,
} from './types.ts';

export type { DumpEnd, DumpResult } from '../netlink/dump.ts';
export type { ApplyResult } from './apply-result.ts';
export type { PolicyFilter, PolicyKey, StateFilter, StateKey } from './object-keys.ts';
export type { ClientOptions, Dump, RequestOptions };

/**
 * Requests to the kernel's XFRM subsystem, over a socket of their own.
 *
 * Every method returns once the kernel has answered, and throws
 * - EncodeError for an invalid value, before anything is sent, with the path of the value,
 * - KernelError if the kernel refuses the request, with its message, the attribute and a hint,
 * - SystemError if a socket cannot be opened.
 *
 * @example
 * await using client = new XfrmClient();
 * for await (const state of client.listStates()) console.log(state.daddr, state.spi);
 */
export class XfrmClient implements AsyncDisposable {
  readonly #connection: Connection;

  /**
   * Opens no socket yet; the first request does.
   *
   * @throws TypeError or RangeError for an invalid option, which it names; SystemError if the
   *   namespace is missing (`open ENOENT`), is not a network namespace (`setns EINVAL`), or may not
   *   be entered (`setns EPERM`)
   */
  constructor(options: ClientOptions = {}) {
    this.#connection = new Connection(NETLINK_XFRM, options);
  }

  /**
   * Dumps SAs, including larval ones; all, or those that match a filter. The kernel filters by
   * protocol and addresses. The dump is made piece by piece as it is consumed and is not an atomic
   * snapshot. Needs CAP_NET_ADMIN (xfrm_user.c, xfrm_dump_sa).
   *
   * @returns a dump to iterate over, or to await for the whole list; XFRM never marks a dump as
   *   interrupted
   * @throws when read: EncodeError for an invalid filter, KernelError `ENOBUFS` if a piece was lost
   *
   * @example
   * for await (const { spi, stats } of client.listStates({ proto: 'esp', daddr: '192.0.2.0/24' })) console.log(spi, stats);
   * const { items } = await client.listStates();
   */
  listStates(filter: StateFilter = {}, options?: RequestOptions): Dump<XfrmState> {
    const given = asGiven(filter);
    return this.#list(
      () => ({ kind: 'request', message: 'GETSA', attributes: stateFilter(given) }),
      () => stateOf,
      options,
    );
  }

  /**
   * One SA. Needs CAP_NET_ADMIN (xfrm_user.c, xfrm_get_sa).
   * @throws KernelError `ESRCH` if it does not exist
   *
   * @example
   * const { current, lastUsedAt } = await client.getState({ daddr: '192.0.2.2', proto: 'esp', spi: 0x1001 });
   */
  async getState(key: StateKey, options?: RequestOptions): Promise<XfrmState> {
    const message = { kind: 'request', message: 'GETSA', ...stateKey(key) } as const;
    return this.#one(message, options, stateOf);
  }

  /**
   * Adds an SA. Omitted limits mean no limit; other omitted values are zero. Needs CAP_NET_ADMIN
   * (xfrm_user.c, xfrm_add_sa).
   * @returns attributes that this kernel ignored, as far as can be determined, and its warning
   * @throws KernelError `EEXIST` if the SA exists, named in `hint`; `EPROTONOSUPPORT` if the kernel
   *   lacks ESP, AH or IPComp; `ENOSYS` if it lacks the algorithm
   *
   * @example
   * await client.addState({
   *   saddr: '192.0.2.1', daddr: '192.0.2.2', proto: 'esp', spi: 0x1001, mode: 'tunnel', reqid: 1,
   *   aead: { name: 'rfc4106(gcm(aes))', icvBits: 128, key: randomBytes(20) },
   * });
   */
  addState(state: Encodable<XfrmState>, options?: RequestOptions): Promise<ApplyResult> {
    return this.#setState('NEWSA', state, options);
  }

  /**
   * Updates an SA, or completes a larval one with its keys. For an SA in use, only the limits,
   * encapsulation and a few others change. Needs CAP_NET_ADMIN (xfrm_state.c, xfrm_state_update).
   * @throws KernelError `ESRCH` if it does not exist
   */
  updateState(state: Encodable<XfrmState>, options?: RequestOptions): Promise<ApplyResult> {
    return this.#setState('UPDSA', state, options);
  }

  /**
   * Deletes an SA; a listed SA can be passed as the key. Needs CAP_NET_ADMIN (xfrm_user.c,
   * xfrm_del_sa).
   * @throws KernelError `ESRCH` if it does not exist; `EPERM` also for an SA that the kernel
   *   created for its own use
   */
  async deleteState(key: StateKey, options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'DELSA', ...stateKey(key) }, options);
  }

  /**
   * Deletes all SAs, or those of one protocol. Succeeds if there were none. Needs CAP_NET_ADMIN
   * (xfrm_user.c, xfrm_flush_sa).
   */
  async flushStates(proto: IpsecProto = 'any', options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'FLUSHSA', proto }, options);
  }

  /**
   * Allocates a free SPI from `min` to `max` and creates a larval SA with it, which is returned.
   * Needs CAP_NET_ADMIN (xfrm_user.c, xfrm_alloc_userspi).
   *
   * @throws KernelError `ENOENT` if none is free; a larval SA without an SPI then remains until it
   *   times out (net.core.xfrm_acq_expires, 30 s; seen on 6.18)
   */
  async allocateSpi(given: Encodable<SpiAllocation>, options?: RequestOptions): Promise<XfrmState> {
    const allocation = takeNetworksOf(given, 'ALLOCSPI');
    checkProperties(allocation, shapes.ALLOCATION(), ['ALLOCSPI']);
    const message = { kind: 'request', message: 'ALLOCSPI', allocation } as const;
    return this.#one(message, options, stateOf);
  }

  /**
   * Reports that an SA reached a limit; at a hard limit, the kernel deletes it. Listeners get an
   * EXPIRE. Needs CAP_NET_ADMIN (xfrm_user.c, xfrm_add_sa_expire).
   * @throws KernelError `ENOENT` if it does not exist
   */
  async expireState(key: StateKey, hard: boolean, options?: RequestOptions): Promise<void> {
    checkStateKey(key);
    const { daddr, spi, proto = 'esp', mark } = key;
    const state = { daddr, spi, proto, mark };
    await this.#ask({ kind: 'request', message: 'EXPIRE', state, hard }, options);
  }

  /**
   * Dumps policies, main and sub; all, or those that match a filter. Read it as {@link listStates}.
   * Needs CAP_NET_ADMIN (xfrm_user.c, xfrm_dump_policy). The kernel dumps all; the filter is
   * applied here.
   *
   * @example
   * for await (const { priority, selector } of client.listPolicies({ dir: 'out' })) console.log(priority, selector.daddr);
   */
  listPolicies(filter: PolicyFilter = {}, options?: RequestOptions): Dump<XfrmPolicy> {
    const given = asGiven(filter);
    return this.#list(
      () => ({ kind: 'request', message: 'GETPOLICY', attributes: {} }),
      () => {
        const isWanted = policyFilter(given);
        return (reply) => {
          const policy = policyOf(reply);
          return policy !== undefined && isWanted(policy) ? policy : undefined;
        };
      },
      options,
    );
  }

  /**
   * One policy, by direction and selector, or by index. Needs CAP_NET_ADMIN (xfrm_user.c,
   * xfrm_get_policy).
   * @throws KernelError `ENOENT` if it does not exist
   */
  async getPolicy(key: PolicyKey, options?: RequestOptions): Promise<XfrmPolicy> {
    const message = { kind: 'request', message: 'GETPOLICY', ...policyKey(key) } as const;
    return this.#one(message, options, policyOf);
  }

  /**
   * Adds a policy. Templates that name no algorithms allow all. Needs CAP_NET_ADMIN (xfrm_user.c,
   * xfrm_add_policy).
   *
   * @returns attributes that this kernel ignored, as far as can be determined, and its warning
   * @throws KernelError `EEXIST` if a policy with this selector exists, named in `hint`
   *
   * @example
   * await client.addPolicy({
   *   dir: 'out',
   *   selector: { saddr: '10.0.0.0/24', daddr: '10.1.0.0/24' },
   *   templates: [{ saddr: '192.0.2.1', daddr: '192.0.2.2', proto: 'esp', mode: 'tunnel', reqid: 1 }],
   * });
   */
  addPolicy(policy: Encodable<XfrmPolicy>, options?: RequestOptions): Promise<ApplyResult> {
    return this.#setPolicy('NEWPOLICY', policy, options);
  }

  /**
   * Adds a policy, or replaces the one with the same selector. Needs CAP_NET_ADMIN.
   * @returns as {@link addPolicy}
   */
  replacePolicy(policy: Encodable<XfrmPolicy>, options?: RequestOptions): Promise<ApplyResult> {
    return this.#setPolicy('UPDPOLICY', policy, options);
  }

  /**
   * Deletes a policy; a listed policy can be passed as the key. Needs CAP_NET_ADMIN.
   * @throws KernelError `ENOENT` if it does not exist
   */
  async deletePolicy(key: PolicyKey, options?: RequestOptions): Promise<void> {
    await this.#ask({ kind: 'request', message: 'DELPOLICY', ...policyKey(key) }, options);
  }

  /**
   * Deletes all policies of a type. Succeeds if there were none. Needs CAP_NET_ADMIN (xfrm_user.c,
   * xfrm_flush_policy).
   */
  async flushPolicies(type: PolicyType = 'main', options?: RequestOptions): Promise<void> {
    const policyType = { type };
    await this.#ask({ kind: 'request', message: 'FLUSHPOLICY', policyType }, options);
  }

  /**
   * The counters and replay state of an SA; `flags` can also request thresholds. Needs
   * CAP_NET_ADMIN (xfrm_user.c, xfrm_get_ae).
   * @throws KernelError `ESRCH` if it does not exist
   */
  async getAevent(aevent: Encodable<XfrmAevent>, options?: RequestOptions): Promise<XfrmAevent> {
    checkProperties(aevent, shapes.AEVENT(), ['GETAE']);
    const message = { kind: 'request', message: 'GETAE', aevent } as const;
    return this.#one(message, options, (reply) =>
      reply.kind === 'NEWAE' ? reply.aevent : undefined,
    );
  }

  /**
   * Sets counters and thresholds of an SA, which must not be larval. Needs CAP_NET_ADMIN
   * (xfrm_user.c, xfrm_new_ae).
   * @throws KernelError `ESRCH` if it does not exist, `EINVAL` if it is larval
   */
  async setAevent(aevent: Encodable<XfrmAevent>, options?: RequestOptions): Promise<void> {
    checkProperties(aevent, shapes.AEVENT(), ['NEWAE']);
    const header = { flags: NLM_F_REPLACE };
    await this.#ask({ kind: 'request', message: 'NEWAE', header, aevent }, options);
  }

  /**
   * Moves SAs, and the policy that uses them, to other addresses. Needs CAP_NET_ADMIN, and a kernel
   * with CONFIG_XFRM_MIGRATE (xfrm_policy.c, xfrm_migrate).
   * @throws KernelError `ENOPROTOOPT` without it, `ENOENT` if the policy does not exist
   */
  async migrate(
    policy: PolicyKey,
    migrations: readonly Encodable<XfrmMigration>[],
    attributes: Extract<EncodableXfrmMessage, { message: 'MIGRATE' }>['attributes'] = {},
    options?: RequestOptions,
  ): Promise<void> {
    checkProperties({ migrations, ...attributes }, shapes.MIGRATE(), ['MIGRATE']);
    const { id, attributes: more } = policyKey(policy);
    const all = { policyType: more.policyType, ...attributes };
    await this.#ask(
      { kind: 'request', message: 'MIGRATE', id, migrations, attributes: all },
      options,
    );
  }

  /**
   * Moves one SA to other addresses. Needs CAP_NET_ADMIN and kernel 7.2; older ones answer
   * `EINVAL`.
   */
  async migrateState(
    given: Encodable<XfrmStateMigration>,
    options?: RequestOptions,
  ): Promise<void> {
    const newSelector = takeNetworks(given?.newSelector, ['MIGRATE_STATE', 'newSelector']);
    const migration = newSelector === given?.newSelector ? given : { ...given, newSelector };
    checkProperties(migration, shapes.STATE_MIGRATION(), ['MIGRATE_STATE']);
    await this.#ask({ kind: 'request', message: 'MIGRATE_STATE', migration }, options);
  }

  /** The number of SAs and of hash buckets. Needs CAP_NET_ADMIN (xfrm_user.c, xfrm_get_sadinfo). */
  getSadInfo(options?: RequestOptions): Promise<SadAttributes> {
    // Without flags the kernel omits parts of the answer (net/xfrm/xfrm_user.c).
    return this.#one({ kind: 'request', message: 'GETSADINFO', flags: ALL }, options, (reply) =>
      reply.kind === 'NEWSADINFO' ? reply.sad : undefined,
    );
  }

  /**
   * The number of policies and of hash buckets, and the prefix lengths from which policies are
   * hashed. Needs CAP_NET_ADMIN (xfrm_user.c, xfrm_get_spdinfo).
   */
  getSpdInfo(options?: RequestOptions): Promise<SpdAttributes> {
    return this.#one({ kind: 'request', message: 'GETSPDINFO', flags: ALL }, options, (reply) =>
      reply.kind === 'NEWSPDINFO' ? reply.spd : undefined,
    );
  }

  /**
   * Sets the prefix lengths from which policies are hashed. Needs CAP_NET_ADMIN (xfrm_user.c,
   * xfrm_set_spdinfo).
   */
  async setSpdThresholds(
    spd: Encodable<Pick<SpdAttributes, 'ipv4Threshold' | 'ipv6Threshold'>>,
    options?: RequestOptions,
  ): Promise<void> {
    checkProperties(spd, shapes.THRESHOLDS(), ['NEWSPDINFO']);
    await this.#ask({ kind: 'request', message: 'NEWSPDINFO', flags: 0, spd }, options);
  }

  /** The default for packets that match no policy. Needs CAP_NET_ADMIN and kernel 5.15. */
  getDefaults(options?: RequestOptions): Promise<PolicyDefaults> {
    const message = { kind: 'request', message: 'GETDEFAULT', defaults: {} } as const;
    return this.#one(message, options, (reply) =>
      reply.kind === 'GETDEFAULT' ? reply.defaults : undefined,
    );
  }

  /**
   * Sets the default for packets that match no policy; an omitted direction is unchanged. Needs
   * CAP_NET_ADMIN and kernel 5.15.
   *
   * @example
   * await client.setDefaults({ in: 'block' });
   */
  async setDefaults(defaults: Encodable<PolicyDefaults>, options?: RequestOptions): Promise<void> {
    checkProperties(defaults, shapes.DEFAULTS(), ['SETDEFAULT']);
    await this.#ask({ kind: 'request', message: 'SETDEFAULT', defaults }, options);
  }

  /** Closes the sockets; pending requests are rejected. May be called more than once. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #setState(
    message: 'NEWSA' | 'UPDSA',
    given: Encodable<XfrmState>,
    options: RequestOptions | undefined,
  ): Promise<ApplyResult> {
    const state = takeNetworksOf(given, message);
    checkProperties(state, shapes.STATE(), [message]);
    for (const name of ['aead', 'crypt'] as const) checkAlgorithm(state[name], [message, name]);
    const { daddr, spi, proto, mark, saddr } = state;
    const key = { daddr, spi, proto, mark, saddr } as StateKey;
    const read = () => readBack(options, (how) => this.getState(key, how));
    const asked = { kind: 'request', message, state } as const;
    let warning: string | undefined;
    try {
      ({ warning } = await this.#ask(asked, options));
    } catch (error) {
      throw await whoHolds(error, read, stateInPlace);
    }
    if (!mayBeLeftOut(state, RECENT)) return { ignoredAttributes: [], warning };
    const found = await read();
    return { ignoredAttributes: found && leftOut(state, found, RECENT), warning };
  }

  async #setPolicy(
    message: 'NEWPOLICY' | 'UPDPOLICY',
    given: Encodable<XfrmPolicy>,
    options: RequestOptions | undefined,
  ): Promise<ApplyResult> {
    const policy = takeNetworksOf(given, message);
    checkProperties(policy, shapes.POLICY(), [message]);
    const { templates } = policy;
    const complete = Array.isArray(templates)
      ? { ...policy, templates: templates.map(anyAlgorithm) }
      : policy;
    const { dir = 'in', selector, mark, ifId, policyType } = policy;
    const key = { dir, selector, mark: mark as XfrmMark | undefined, ifId, type: policyType?.type };
    const read = () => readBack(options, (how) => this.getPolicy(key, how));
    const asked = { kind: 'request', message, policy: complete } as const;
    let warning: string | undefined;
    try {
      ({ warning } = await this.#ask(asked, options));
    } catch (error) {
      throw await whoHolds(error, read, policyInPlace);
    }
    if (!mayBeLeftOut(policy, RECENT_POLICY)) return { ignoredAttributes: [], warning };
    const found = await read();
    return { ignoredAttributes: found && leftOut(policy, found, RECENT_POLICY), warning };
  }

  /** A dump that starts, and whose filter is checked, when it is read. */
  #list<Value>(
    ask: () => EncodableXfrmMessage<XfrmRequest>,
    pick: () => (reply: XfrmMessage) => Value | undefined,
    options: RequestOptions | undefined,
  ): Dump<Value> {
    return new Dump(() => {
      const own = tableLists.get(this);
      const decode = (own?.decode as DecodeMessage<Value | undefined>) ?? replyOf(pick());
      const reading = own?.reading ?? BY_PIECES;
      return this.#connection.dumpBatches(requestOf(ask()), decode, options, reading);
    });
  }

  #ask(message: EncodableXfrmMessage<XfrmRequest>, options: RequestOptions | undefined) {
    return this.#connection.request<XfrmMessage>(requestOf(message), decodeXfrmMessage, options);
  }

  async #one<Value>(
    message: EncodableXfrmMessage<XfrmRequest>,
    options: RequestOptions | undefined,
    pick: (reply: XfrmMessage) => Value | undefined,
  ): Promise<Value> {
    const { replies } = await this.#ask(message, options);
    for (const reply of replies) {
      const value = pick(reply);
      if (value !== undefined) return value;
    }
    throw withoutAnswer(message.message);
  }
}

/** A copy of the filter: the caller may change it before the dump is read. */
const asGiven = <Filter>(filter: Filter): Filter =>
  typeof filter === 'object' && filter !== null && !Array.isArray(filter) ? { ...filter } : filter;

const stateOf = (reply: XfrmMessage) => (reply.kind === 'NEWSA' ? reply.state : undefined);
const policyOf = (reply: XfrmMessage) => (reply.kind === 'NEWPOLICY' ? reply.policy : undefined);

/**
 * The object that was set, without its keys; undefined if it can no longer be read, although the
 * request succeeded.
 */
async function readBack<Value>(
  options: RequestOptions | undefined,
  read: (how: RequestOptions) => Promise<Value>,
): Promise<Value | undefined> {
  try {
    return await read({ ...options, keys: false });
  } catch {
    options?.signal?.throwIfAborted();
    return undefined;
  }
}

/** The error of a request that adds something: on EEXIST, it names what is in its place. */
async function whoHolds<Value>(
  error: unknown,
  read: () => Promise<Value | undefined>,
  describe: (value: Value) => string,
): Promise<unknown> {
  if (!(error instanceof KernelError) || error.code !== 'EEXIST') return error;
  const there = await read();
  return there === undefined ? error : error.withHint(describe(there));
}

const stateInPlace = (state: XfrmState): string =>
  `already exists: ${describeState(state)}, ${state.mode}, reqid ${state.reqid}; update it, or use another SPI`;

const policyInPlace = (policy: XfrmPolicy): string =>
  `already exists: ${describePolicy(policy)}, priority ${policy.priority}; update it`;

/** Extracts the answer from each message; undefined if the message concerns something else. */
const replyOf =
  <Value>(pick: (reply: XfrmMessage) => Value | undefined): DecodeMessage<Value | undefined> =>
  (input, at, length) =>
    pick(decodeXfrmMessage(input, at, length));

const ALL = 0xffffffff;

/**
 * A template without algorithms allows all, as with `ip`. With none allowed (zeros), every inbound
 * packet is rejected (XfrmInTmplMismatch, measured on 6.1).
 */
function anyAlgorithm(template: Encodable<PolicyTemplate>): Encodable<PolicyTemplate> {
  // Anything but an object is refused by the encoder.
  if (typeof template !== 'object' || template === null) return template;
  const { aalgos = ALL, ealgos = ALL, calgos = ALL } = template;
  return Object.assign(shallowCopy(template), { aalgos, ealgos, calgos });
}

/** A message in the form the connection sends. */
function requestOf(message: EncodableXfrmMessage<XfrmRequest>): Request {
  const full = `XFRM_MSG_${message.message}`;
  const { size, table } = bodyOf(message) as Body<object>;
  return {
    name: full,
    flags: message.header?.flags ?? 0,
    fixed: size,
    write: (writer, header) => encodeXfrm(writer, Object.assign(shallowCopy(message), { header })),
    attributes: table,
    object: () => describeRequest(message),
    hint: (ack) => hintFor(full, ack),
  };
}
