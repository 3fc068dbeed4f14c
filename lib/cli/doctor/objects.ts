/** SAs and policies that hinder monitoring, or packets; hardware offload; what they need of sysctls. @module */
import { execFile } from 'node:child_process';
import { isIpcompHelper, isLarval } from '../../monitor/xfrm-objects.ts';
import { RouteClient } from '../../route/client.ts';
import { printable } from '../../wire/text.ts';
import { XfrmClient } from '../../xfrm/client.ts';
import type { XfrmPolicy, XfrmState } from '../../xfrm/objects.ts';
import type { PolicyDefaults } from '../../xfrm/types.ts';
import type { Examined } from './examined.ts';
import { type Finding, ok } from './finding.ts';
import { checkListeners } from './listeners.ts';
import { type Interface, interfaceSysctls } from './sysctls.ts';

/** Larval SAs above which something asks for SAs in a loop. */
const MANY_LARVAL = 100;
/** Devices beyond this are not asked. */
const MANY_DEVICES = 64;
/** Shown of a list. */
const SHOWN = 3;

const some = (all: readonly string[]): string =>
  all.length > SHOWN
    ? `${all.slice(0, SHOWN).join(', ')} and ${all.length - SHOWN} more`
    : all.join(', ');

const isPacketOffload = ({ offload }: XfrmState) =>
  offload?.flags.names.includes('packet') === true;

/** About what is in the tables. */
export function objectFindings(
  states: readonly XfrmState[],
  policies: readonly XfrmPolicy[],
  defaults: PolicyDefaults | undefined,
): Finding[] {
  const larval = states.filter(isLarval).length;
  const nameless = states.filter((one) => !isLarval(one) && one.spi === 0 && !isIpcompHelper(one));
  const blocking = policies.filter(({ action }) => action === 'block');
  const found: Finding[] = [
    ok('object.count', `${states.length} SAs, ${policies.length} policies`, 'listed'),
  ];
  if (larval > 0) {
    found.push({
      id: 'object.larval',
      severity: larval >= MANY_LARVAL ? 'warning' : 'note',
      found: `${larval} SAs without keys`,
      meaning:
        'SAs were asked for and are not there yet: a negotiation is under way, or fails again and again',
      remedy: 'see which and for how long: netlink-xfrm tunnels --acquires; the key manager’s log',
    });
  } else found.push(ok('object.larval', 'none', 'no negotiation is under way'));
  if (nameless.length > 0) {
    found.push({
      id: 'object.without-spi',
      severity: 'warning',
      found: `${nameless.length} SAs with keys and without an SPI`,
      meaning: 'the kernel cannot tell them apart, so that a monitor cannot follow them either',
      remedy:
        'delete them: ip xfrm state flush, if nothing else is there; and see who adds them: netlink-xfrm monitor --who sa',
    });
  }
  if (blocking.length > 0) {
    const which = blocking.map(
      ({ dir, selector: { saddr, prefixlenS, daddr, prefixlenD } }) =>
        `${dir} ${saddr}/${prefixlenS} > ${daddr}/${prefixlenD}`,
    );
    found.push({
      id: 'object.block',
      severity: 'note',
      found: `${blocking.length} policies block packets: ${some(which)}`,
      meaning:
        'such packets are dropped, unless another policy has precedence; counted as XfrmOutPolBlock or XfrmInPolBlock',
      remedy: 'if one is a leftover: ip xfrm policy delete …; see netlink-xfrm policy',
    });
  } else found.push(ok('object.block', 'none', 'no policy blocks packets'));
  const refused = defaults
    ? (['in', 'fwd', 'out'] as const).filter((dir) => defaults[dir] === 'block')
    : [];
  if (refused.length > 0) {
    found.push({
      id: 'object.default',
      severity: 'note',
      found: `the default for ${refused.join(', ')} is block`,
      meaning: 'packets that no policy matches are dropped; IKE itself needs policies, too',
      remedy: `if that is not intended: ip xfrm policy setdefault ${refused.map((dir) => `${dir} accept`).join(' ')}`,
    });
  }
  return found;
}

/** About SAs that a device works on. @param name by interface index */
export function offloadFinding(
  states: readonly XfrmState[],
  name: (index: number) => string,
): Finding {
  const id = 'offload.sas';
  const offloaded = states.filter(({ offload }) => offload !== undefined);
  if (offloaded.length === 0) return ok(id, 'none', 'all SAs are worked on by the processor');
  const devices = [...new Set(offloaded.map(({ offload }) => name(offload?.ifindex ?? 0)))];
  const packet = offloaded.filter(isPacketOffload).length;
  const found = `${offloaded.length} SAs on ${some(devices)}, ${packet} of them for whole packets`;
  if (packet === 0) return ok(id, found, 'a device encrypts; the kernel counts');
  return {
    id,
    severity: 'note',
    found,
    meaning:
      'the device counts their traffic and drops; the kernel learns it late or, before 6.7, not at all, so that tunnels can seem idle',
    remedy:
      'if counters stand still, load the key manager’s SAs with crypto offload, or none; ethtool -S DEVICE has the device’s own',
  };
}

/** The devices with `esp-hw-offload: on`, from the outputs of ethtool -k. */
export const offloadDevices = (features: ReadonlyMap<string, string>): string[] =>
  [...features].flatMap(([name, text]) => (/^esp-hw-offload: on\b/m.test(text) ? [name] : []));

/** `ethtool -k` of a device, in the examined namespace; undefined without ethtool. */
function ethtool({ held }: Examined, device: string): Promise<string | undefined> {
  const { netns } = held;
  const [program, args] =
    typeof netns === 'number'
      ? ['nsenter', [`--net=/proc/${process.pid}/fd/${netns}`, 'ethtool', '-k', device]]
      : ['ethtool', ['-k', device]];
  return new Promise((resolve) => {
    execFile(program as string, args as string[], { timeout: 5000 }, (error, stdout) =>
      resolve(error === null ? stdout : undefined),
    );
  });
}

async function deviceFinding(
  examined: Examined,
  interfaces: readonly Interface[],
): Promise<Finding> {
  const id = 'offload.devices';
  const features = new Map<string, string>();
  const real = interfaces.filter(({ loopback }) => !loopback);
  for (const { name } of real.slice(0, MANY_DEVICES)) {
    const text = await ethtool(examined, name);
    if (text !== undefined) features.set(name, text);
  }
  if (features.size === 0 && real.length > 0) {
    return ok(
      id,
      'unknown: ethtool is not installed, or refused',
      'which devices can work on SAs is unknown',
    );
  }
  const able = offloadDevices(features);
  return able.length === 0
    ? ok(id, 'none', 'no device offers to work on SAs')
    : ok(id, some(able), 'these devices offer to work on SAs (esp-hw-offload)');
}

interface Tables {
  readonly states: readonly XfrmState[];
  readonly policies: readonly XfrmPolicy[];
  readonly defaults?: PolicyDefaults;
}

/** Lists what is there, and then what depends on it. */
export async function checkObjects(examined: Examined): Promise<Finding[]> {
  const { netns } = examined.held;
  await using xfrm = new XfrmClient({ netns });
  await using route = new RouteClient({ netns });
  const { items: links } = await route.listLinks();
  const interfaces = links.map(({ name, info, flags }) => ({
    name: printable(name ?? ''),
    kind: info?.kind,
    loopback: flags.names.includes('loopback'),
  }));
  const names = new Map(links.map(({ index, name }) => [index, printable(name ?? '')]));
  let tables: Tables | undefined;
  try {
    const { items: states } = await xfrm.listStates();
    const { items: policies } = await xfrm.listPolicies();
    // Kernels before 5.14 do not know it.
    const defaults = await xfrm.getDefaults().catch(() => undefined);
    tables = { states, policies, ...(defaults ? { defaults } : {}) };
  } catch {
    // permission.events says why.
  }
  const forwards = tables && {
    inet: hasForward(tables.policies, '.'),
    inet6: hasForward(tables.policies, ':'),
  };
  const wanted = tables?.policies.filter(
    ({ dir, templates }) => dir === 'out' && (templates?.length ?? 0) > 0,
  ).length;
  return [
    ...interfaceSysctls(examined, interfaces, forwards),
    ...(await checkListeners(wanted)(examined)),
    ...(tables
      ? [
          ...objectFindings(tables.states, tables.policies, tables.defaults),
          offloadFinding(tables.states, (index) => names.get(index) ?? `interface ${index}`),
        ]
      : []),
    await deviceFinding(examined, interfaces),
  ];
}

const hasForward = (policies: readonly XfrmPolicy[], mark: '.' | ':') =>
  policies.some(
    ({ dir, selector, templates }) =>
      dir === 'fwd' && selector.daddr.includes(mark) && (templates?.length ?? 0) > 0,
  );
