/**
 * Checks the changes reported for a host against what iproute2's `ip -ts xfrm monitor` saw there.
 *
 * It knows SAs and policies by their times alone, nothing of how tunnels are judged. Each line is held against
 * them; where two programs that read at their own times cannot agree, the line is believed.
 * @module
 */
import type { Testimony, ToldLine } from './witness.ts';

/** Milliseconds by which two readers may differ in when they read. */
const READING = 2000;
/** A gap in the kernel this short (in milliseconds) must not be reported: `settle` is 100. */
const MOMENT = 60;
/** A gap this long must be reported. */
const LONG = 3000;

/** An SA, or what of a policy leads to it, as long as it was there. */
export interface Life {
  readonly src: string;
  readonly dst: string;
  readonly reqid: number;
  /** Protocol and SPI of an SA. */
  readonly spi: number;
  readonly proto: string;
  readonly came: number;
  gone: number;
  /** How it ended. */
  end?: 'deleted' | 'expired' | 'flushed';
}

/** What `ip` saw: `sas`, and of outbound policies their templates. */
export interface Seen {
  readonly sas: readonly Life[];
  readonly policies: readonly Life[];
  /** From first to last, milliseconds since 1970. */
  readonly first: number;
  readonly last: number;
}

const STAMP = /^\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})\d*\] /;

/** Reads what ip printed. */
export function readIp(text: string): Seen {
  const sas: Life[] = [];
  const policies: Life[] = [];
  const open = new Map<string, Life>();
  const end = (
    life: Life | undefined,
    key: string,
    time: number,
    how: NonNullable<Life['end']>,
  ) => {
    if (!life) return;
    life.gone = time;
    life.end = how;
    open.delete(key);
  };
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (const part of text.split(/^(?=\[\d{4}-)/m)) {
    const [head = ''] = part.split('\n');
    const stamp = STAMP.exec(head);
    if (!stamp) continue;
    const time = Date.parse(`${stamp[1]}Z`) + Number(stamp[2]);
    first = Math.min(first, time);
    last = Math.max(last, time);
    const what = head.slice(stamp[0].length);
    const ends = /^(Deleted |Expired |Updated |)src (\S+) dst (\S+)/.exec(what);
    if (/^Flushed (state|policy)/.test(what)) {
      const isState = what.startsWith('Flushed state');
      for (const [key, life] of open) {
        if (key.startsWith('sa') === isState) end(life, key, time, 'flushed');
      }
    }
    if (!ends) continue;
    const [, verb, src = '', dst = ''] = ends;
    const sa = /^\tproto (\S+) spi (0x[0-9a-f]+) reqid (\d+)/m.exec(part);
    if (sa) {
      const [, proto = '', spi = '', reqid] = sa;
      const key = `sa ${proto} ${spi} ${dst}`;
      const known = open.get(key);
      if (verb === 'Deleted ') end(known, key, time, 'deleted');
      else if (verb === 'Expired ') {
        if (/^\thard 1/m.test(part)) end(known, key, time, 'expired');
      } else if (!known) {
        const life = { src, dst, proto, spi: Number(spi), reqid: Number(reqid) };
        const came = { ...life, came: time, gone: Number.POSITIVE_INFINITY };
        sas.push(came);
        open.set(key, came);
      }
      continue;
    }
    const policy = /^\t(?:socket )?dir out /m.test(part);
    if (!policy) continue;
    const key = `policy ${src} ${dst}`;
    const template = /^\ttmpl src (\S+) dst (\S+)[\s\S]*?reqid (\d+)/m.exec(part);
    if (verb !== 'Expired ') end(open.get(key), key, time, 'deleted');
    if (verb === 'Deleted ' || verb === 'Expired ' || !template) continue;
    const [, from = '', to = '', reqid] = template;
    const life: Life = {
      src: from,
      dst: to,
      proto: '',
      spi: 0,
      reqid: Number(reqid),
      came: time,
      gone: Number.POSITIVE_INFINITY,
    };
    policies.push(life);
    open.set(key, life);
  }
  return { sas, policies, first, last };
}

/** A time in which there was none of some lives. */
interface Gap {
  readonly from: number;
  readonly to: number;
}

/** When none of these was there, after the first came. */
function gaps(lives: readonly Life[]): Gap[] {
  const found: Gap[] = [];
  let until = Number.NaN;
  for (const { came, gone } of [...lives].sort((a, b) => a.came - b.came)) {
    if (came > until) found.push({ from: until, to: came });
    until = Number.isNaN(until) ? gone : Math.max(until, gone);
  }
  if (until < Number.POSITIVE_INFINITY) found.push({ from: until, to: Number.POSITIVE_INFINITY });
  return found;
}

const length = ({ from, to }: Gap): number => to - from;
const longestOf = (some: readonly Gap[]): Gap | undefined =>
  [...some].sort((a, b) => length(b) - length(a))[0];

/** The errors in what was reported for a host. */
export function judgeTestimony(host: string, testimony: Testimony): string[] {
  const seen = readIp(testimony.ip);
  return [
    ...judgeSas(testimony, seen).map((text) => `${host}: live table: ${text}`),
    ...judgeLines(testimony.tunnels, seen).map((text) => `${host}: tunnels: ${text}`),
    ...judgeLines(testimony.command, seen).map((text) => `${host}: command: ${text}`),
    ...judgeRecorded(testimony).map((text) => `${host}: recording: ${text}`),
  ];
}

/** A recording tells afterwards what was told live, tunnel by tunnel. */
function judgeRecorded({ tunnels, recorded }: Testimony): string[] {
  if (recorded === undefined) return [];
  const told = (lines: readonly ToldLine[]) => {
    const stories = new Map<string, string[]>();
    for (const { kind, id, reason, by, direction, from, to } of lines) {
      if (!SURE.has(kind)) continue;
      // Not the state: a monitor that reads two events at once does not tell of the state between them.
      // And whether policies went with the SAs depends on when those events were read.
      const cause = kind === 'down' && ENDED.has(reason ?? '') ? 'ended' : reason;
      const line = [kind, cause, by, direction, from, to].filter(Boolean).join(' ');
      stories.set(id, [...(stories.get(id) ?? []), line]);
    }
    return stories;
  };
  const [live, after] = [told(tunnels), told(recorded)];
  return [...new Set([...live.keys(), ...after.keys()])].flatMap((id) => {
    const [one, two] = [live, after].map((stories) => inAnyOrder(stories.get(id) ?? []));
    return one === two ? [] : [`${id}: live:\n${one}\nrecorded:\n${two}`];
  });
}

/** A story, in which rekeys that follow each other may be told in any order: those of one batch are told together. */
function inAnyOrder(lines: readonly string[]): string {
  const runs: string[][] = [];
  for (const line of lines) {
    const last = runs.at(-1);
    const continues = line.startsWith('rekeyed') && last?.[0]?.startsWith('rekeyed');
    if (continues) last?.push(line);
    else runs.push([line]);
  }
  return runs.map((run) => run.sort().join('\n')).join('\n');
}

/** Causes of one end: a key manager deletes SAs and policies one after the other. */
const ENDED = new Set(['deleted', 'policy-gone']);

/** Changes that do not depend on when counters were read. */
const SURE = new Set(['up', 'down', 'rekeyed']);

/** Each SA that was added and removed is reported exactly once. */
function judgeSas({ sas }: Testimony, seen: Seen): string[] {
  const count = (of: readonly string[]) => {
    const counts = new Map<string, number>();
    for (const one of of) counts.set(one, (counts.get(one) ?? 0) + 1);
    return counts;
  };
  const told = count(sas.map(({ kind, sa }) => `${kind} ${sa}`));
  const name = ({ proto, spi, dst }: Life) => `${proto} ${spi} ${dst}`;
  const happened = count([
    ...seen.sas.map((life) => `added ${name(life)}`),
    ...seen.sas.flatMap((life) => (life.end ? [`removed ${name(life)}`] : [])),
  ]);
  const wrong: string[] = [];
  for (const one of new Set([...told.keys(), ...happened.keys()])) {
    const [saying, being] = [told.get(one) ?? 0, happened.get(one) ?? 0];
    if (saying !== being) wrong.push(`${one}: told ${saying} times, ip saw it ${being} times`);
  }
  return wrong;
}

const hex = (spi: number): string => `0x${spi.toString(16).padStart(8, '0')}`;
const clock = (time: number): string => new Date(time).toISOString().slice(11, 23);
const went = ({ gone }: Life): string =>
  gone === Number.POSITIVE_INFINITY ? 'stayed' : `went at ${clock(gone)}`;

function describe({
  time,
  kind,
  id,
  before,
  state,
  reason,
  direction,
  from,
  to,
}: ToldLine): string {
  const spis = from === undefined ? '' : ` ${direction} ${hex(from)} > ${hex(to ?? 0)}`;
  const was = before === undefined ? '' : `, was ${before}`;
  return `${clock(time)} ${kind}${spis} ${id}: ${state}${was}${reason ? ` (${reason})` : ''}`;
}

/** Each line is held against what was there, and what was there against the lines. */
export function judgeLines(lines: readonly ToldLine[], seen: Seen): string[] {
  const wrong: string[] = [];
  const false_ = (line: ToldLine, why: string) => wrong.push(`false: ${describe(line)}: ${why}`);
  /** The SAs of a tunnel. ESP and IPCOMP of one have reqids of their own with some daemons. */
  const sasOf = ({ local, remote, reqid }: ToldLine) => ({
    out: seen.sas.filter((sa) => sa.src === local && sa.dst === remote && sa.reqid === reqid),
    in: seen.sas.filter((sa) => sa.src === remote && sa.dst === local && sa.reqid === reqid),
  });
  const policiesOf = (line: ToldLine) =>
    seen.policies.filter(
      ({ src, dst, reqid }) =>
        src === line.local && dst === line.remote && (reqid === line.reqid || reqid === 0),
    );
  const withoutPolicy = (line: ToldLine, near: (some: readonly Gap[]) => Gap[]) => {
    const own = policiesOf(line);
    const longest = longestOf(near(gaps(own)));
    if (own.length > 0 && (!longest || length(longest) < MOMENT))
      false_(line, `ip saw no outbound policy for ${longest ? length(longest) : 0} ms only`);
  };
  const replaced = new Set<string>();
  for (const line of lines) {
    const sas = sasOf(line);
    const there = (lives: readonly Life[], from: number, to: number) =>
      lives.some(({ came, gone }) => came <= to && gone >= from);
    const around = [line.time - READING, line.time + READING] as const;
    const near = (some: readonly Gap[]) =>
      some.filter(({ from, to }) => from <= around[1] && to >= around[0]);
    switch (line.kind) {
      case 'up':
        if (!there(sas.out, ...around)) false_(line, 'ip saw no outbound SA');
        if (!there(sas.in, ...around)) false_(line, 'ip saw no inbound SA');
        break;
      case 'down': {
        const { reason } = line;
        if (reason === 'address-gone' || reason === 'link-gone') break;
        if (reason === 'policy-gone') {
          withoutPolicy(line, near);
          break;
        }
        const longest = longestOf(near([...gaps(sas.out), ...gaps(sas.in)]));
        if (!longest) false_(line, 'ip saw its SAs all the time');
        else if (length(longest) < MOMENT)
          false_(line, `ip saw no SA for ${length(longest)} ms only`);
        const ends = [...sas.out, ...sas.in].filter(
          ({ end, gone }) => end && gone >= around[0] - READING && gone <= around[1],
        );
        const how = new Set(ends.map(({ end }) => end));
        if (
          (reason === 'deleted' || reason === 'expired' || reason === 'flushed') &&
          !how.has(reason)
        )
          false_(line, `ip saw its SAs ${[...how].join(', ') || 'not end'}`);
        break;
      }
      case 'added': {
        if (line.state !== 'orphan') break;
        const came = (lives: readonly Life[]) => Math.min(...lives.map((life) => life.came));
        const late = came(policiesOf(line)) - came([...sas.out, ...sas.in]);
        if (!(late >= MOMENT)) false_(line, `ip saw its policy come ${late} ms after its SAs`);
        break;
      }
      case 'state':
        if (line.state === 'orphan' && line.before !== undefined) withoutPolicy(line, near);
        break;
      case 'stalled': {
        // Packets that were not answered are those of SAs that were there for some time.
        const oldest = Math.min(
          ...sas.out.filter(({ gone }) => gone > line.time).map(({ came }) => came),
        );
        if (line.time - oldest < 1000) false_(line, 'its SAs had just come');
        break;
      }
    }
    const { direction, from, to } = line;
    if (direction === undefined || from === undefined || to === undefined) continue;
    const old = sas[direction].find(({ spi }) => spi === from);
    const next = sas[direction].find(({ spi }) => spi === to);
    if (!old || !next) {
      false_(line, 'ip never saw that SA');
      continue;
    }
    if (next.came > around[1]) false_(line, `ip saw ${hex(to)} come at ${clock(next.came)}`);
    // How long the old one stays afterwards is the daemon's business.
    if (old.came > next.came) false_(line, `ip saw ${hex(from)} come after ${hex(to)}`);
    if (old.gone < next.came - READING)
      false_(line, `ip saw ${hex(from)} go at ${clock(old.gone)}`);
    if (replaced.has(`${direction} ${from} ${old.came}`)) false_(line, 'it was told before');
    replaced.add(`${direction} ${from} ${old.came}`);
  }
  return [...wrong, ...missing(lines, seen, replaced, sasOf)];
}

/** Whether a successor was there for longer than its predecessor, not removed with it. */
const stays = (next: Life, old: Life): boolean => next.gone > old.gone + READING;

/** Whether one of the {@link successions} was cut short on this host: both SAs ended with the tunnel. */
export function wasCutShort(succession: string, { ip }: Testimony): boolean {
  const { sas } = readIp(ip);
  const [old, next] = (succession.match(/0x[0-9a-f]+/g) ?? []).map((spi) =>
    sas.find((sa) => sa.spi === Number(spi)),
  );
  if (old === undefined || next === undefined) return false;
  return next.gone < Number.POSITIVE_INFINITY && !stays(next, old);
}

/** What happened in the kernel, and no line tells. */
function missing(
  lines: readonly ToldLine[],
  { last }: Seen,
  replaced: ReadonlySet<string>,
  sasOf: (line: ToldLine) => Record<'out' | 'in', Life[]>,
): string[] {
  const wrong: string[] = [];
  const tunnels = new Map(
    lines.map((line) => [`${line.local} ${line.remote} ${line.reqid}`, line]),
  );
  for (const line of tunnels.values()) {
    const sas = sasOf(line);
    for (const direction of ['out', 'in'] as const) {
      for (const old of sas[direction]) {
        // An SA whose successor existed and stayed is reported as replaced, also if neither ended; at the end of a tunnel all
        // are removed.
        const stayed = (one: Life) =>
          stays(one, old) ||
          (one.gone === Number.POSITIVE_INFINITY && one.came < last - LONG - READING);
        const next = sas[direction].find(
          (one) => one.came > old.came && one.came <= old.gone && stayed(one),
        );
        if (!next || replaced.has(`${direction} ${old.spi} ${old.came}`)) continue;
        wrong.push(
          `missing: ${line.id}: ${direction} ${hex(old.spi)} ${went(old)}, ${hex(next.spi)} was there`,
        );
      }
    }
    const here = lines.filter(({ id }) => id === line.id);
    const told = (gap: Gap) =>
      here.some(
        ({ kind, time }) =>
          (kind === 'down' || kind === 'removed') &&
          time >= gap.from - READING &&
          time <= gap.from + LONG + READING,
      );
    if (!here.some(({ kind }) => kind === 'up')) continue;
    for (const gap of gaps([...sas.out, ...sas.in])) {
      const until = Math.min(gap.to, last);
      if (until - gap.from < LONG || told(gap)) continue;
      wrong.push(`missing: ${line.id}: no SA from ${clock(gap.from)} on, and no down`);
    }
  }
  return wrong;
}

/** The replacements of SAs, as both ends must tell them. */
export function successions(lines: readonly ToldLine[], ofPeer = false): string[] {
  const other = { out: 'in', in: 'out' } as const;
  return lines
    .flatMap(({ direction, from, to }) =>
      direction === undefined || from === undefined || to === undefined
        ? []
        : [`${ofPeer ? other[direction] : direction} ${hex(from)} > ${hex(to)}`],
    )
    .sort();
}

/** Milliseconds before the end of a host's story in which a replacement may be told by the other host only. */
const LAST_MOMENTS = 2000;

/** The replacements of SAs that one end tells, and the other does not. */
export function toldByOne(left: Testimony, right: Testimony): string[] {
  const end = Math.min(left.ended, right.ended) - LAST_MOMENTS;
  const early = ({ tunnels }: Testimony) => tunnels.filter(({ time }) => time < end);
  const [ofLeft, ofRight] = [successions(left.tunnels), successions(right.tunnels, true)];
  const twice = (all: readonly string[]) => all.filter((one, i) => all.indexOf(one) < i);
  return [
    ...successions(early(left)).filter((one) => !ofRight.includes(one)),
    ...successions(early(right), true).filter((one) => !ofLeft.includes(one)),
    ...twice(ofLeft),
    ...twice(ofRight),
  ];
}
