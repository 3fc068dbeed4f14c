/** One tunnel: its history, SAs, policies, limits, counters, warnings and events. @module */
import type { ComponentChildren } from 'preact';
import {
  describeAlgorithms,
  describeSelector,
  describeTemplate,
  refusedPackets,
  stateExtras,
} from '../lib/cli/text/event.ts';
import type { XfrmState } from '../lib/xfrm/objects.ts';
import { isBroken, spansOf } from './history.ts';
import { limitsOf } from './limits.ts';
import { WindowSelect } from './list.tsx';
import { Log } from './log.tsx';
import { ALL_TUNNELS } from './route.ts';
import type { Session } from './session.ts';
import { StateMark } from './state.tsx';
import { Timeline } from './timeline.tsx';
import type { PagePolicy, PageSa, PageTunnel } from './wire.ts';
import {
  ageOf,
  bytes,
  cap,
  clock,
  count,
  endsOf,
  plural,
  qualifiersOf,
  span,
  spi,
  titleOf,
  warningText,
} from './words.ts';

/** The command's words: of what they read, JSON keeps everything. */
const algorithms = (sa: PageSa) => describeAlgorithms(sa as unknown as XfrmState);
const extras = (sa: PageSa) => stateExtras(sa as unknown as XfrmState);

export function DetailView(props: { readonly session: Session; readonly tunnelKey: string }) {
  const { session, tunnelKey } = props;
  const { detail } = session;
  const tunnel = session.tunnels.get(tunnelKey) ?? detail?.of?.tunnel;
  if (tunnel === undefined) {
    return (
      <>
        <Back />
        <h1>{tunnelKey}</h1>
        <p class="empty">{detail?.error ?? 'Loading …'}</p>
      </>
    );
  }
  const title = titleOf(tunnel);
  const { now, axis } = session;
  const history = session.history(tunnelKey);
  return (
    <>
      <Back />
      <div class={`head ${tunnel.state}`}>
        <h1>{title}</h1>
        <p>
          <StateMark state={tunnel.state} /> <span class="age">for {ageOf(tunnel, now)}</span>
        </p>
        <p class="why">{cap(tunnel.reason)}.</p>
        <p class="qualifiers">
          {[...(tunnel.name === undefined ? [] : [endsOf(tunnel)]), ...qualifiersOf(tunnel)].join(
            ' · ',
          )}
        </p>
      </div>
      {tunnel.warnings.length > 0 && (
        <ul class="warnings" aria-label="Warnings">
          {tunnel.warnings.map((one) => (
            <li key={`${one.kind} ${one.what}`}>
              {warningText(one)}, since {clock(one.since, now)}
            </li>
          ))}
        </ul>
      )}
      <Section title="History" more={<WindowSelect session={session} />}>
        <Timeline title={title} history={history} {...axis} full />
        <Key />
        <Changes session={session} tunnelKey={tunnelKey} />
      </Section>
      <Section title="Properties">
        <Properties tunnel={tunnel} now={now} />
      </Section>
      <Section title="Security associations">
        {detail?.of === undefined ? (
          <p class="empty">{detail?.error ?? 'Loading …'}</p>
        ) : (
          <Sas sas={detail.of.sas.map(({ state }) => state)} tunnel={tunnel} now={now} />
        )}
      </Section>
      <Section title="Policies">
        {detail?.of && <Policies policies={detail.of.policies.map(({ policy }) => policy)} />}
      </Section>
      <Section title="Events">
        <Log
          session={session}
          entries={session.log.filter((one) => one.tunnel?.key === tunnelKey)}
          ofOne
        />
      </Section>
    </>
  );
}

const Back = () => (
  <p class="back">
    <a href={ALL_TUNNELS}>All tunnels</a>
  </p>
);

function Section(props: {
  readonly title: string;
  readonly more?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  const id = `section-${props.title.replace(/\W+/g, '-').toLowerCase()}`;
  return (
    <section aria-labelledby={id}>
      <div class="section-head">
        <h2 id={id}>{props.title}</h2>
        {props.more}
      </div>
      {props.children}
    </section>
  );
}

/** What the signs in the picture mean. */
const Key = () => (
  <p class="key" aria-hidden="true">
    <span class="sign good" /> passes packets <span class="sign warn" /> about to end{' '}
    <span class="sign bad" /> does not pass packets <span class="sign dot" /> rekey{' '}
    <span class="sign fell" /> went down
  </p>
);

/** The states of the window as a table: the picture's content in words. */
function Changes({
  session,
  tunnelKey,
}: {
  readonly session: Session;
  readonly tunnelKey: string;
}) {
  const { from, to } = session.axis;
  const history = session.history(tunnelKey);
  const spans = spansOf(history, from, to).reverse();
  const rekeys = history.rekeys.filter((at) => at >= from && at <= to);
  return (
    <details class="changes">
      <summary>
        {plural(spans.length, 'state')} and {plural(rekeys.length, 'rekey')} in this time
      </summary>
      <table>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">For</th>
            <th scope="col">State</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {spans.map((one) => (
            <tr key={one.from} class={isBroken(one.state) ? 'bad' : undefined}>
              <td>
                <time dateTime={new Date(one.from).toISOString()}>{clock(one.from, to)}</time>
              </td>
              <td>{span(one.to - one.from)}</td>
              <td>{one.state}</td>
              <td>{one.reason}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}

function Properties({ tunnel, now }: { readonly tunnel: PageTunnel; readonly now: number }) {
  const { traffic, refused, encap } = tunnel;
  const carried = (direction: 'in' | 'out') => {
    const { bytes: carried, packets, lastUsedAt } = traffic[direction];
    const used = lastUsedAt === undefined ? 'never' : `last ${span(now - lastUsedAt)} ago`;
    return `${bytes(carried)}, ${plural(Number(packets), 'packet')}, ${used}`;
  };
  const rows: (readonly [string, string | undefined])[] = [
    ['Id', tunnel.id],
    ['Local address', tunnel.local],
    ['Remote address', tunnel.remote],
    ['Protocol and mode', [tunnel.protocol, tunnel.mode].filter(Boolean).join(', ')],
    ['Encapsulation', encap && `${encap.type}, port ${encap.sport} → ${encap.dport}`],
    ['Up since', tunnel.upSince === undefined ? undefined : clock(tunnel.upSince, now)],
    [
      'Newest SA added',
      tunnel.installedAt === undefined ? undefined : clock(tunnel.installedAt, now),
    ],
    ['Sent', carried('out')],
    ['Received', carried('in')],
    ['Rekeys', count(tunnel.rekeys)],
    ['Expired without a successor', count(tunnel.unreplaced)],
    [
      'Refused packets',
      `${count(refused.integrity)} integrity, ${count(refused.replay)} replayed, ${count(refused.replayWindow)} too old for the window`,
    ],
    ...(tunnel.acquires > 0 ? [['SAs requested', count(tunnel.acquires)] as const] : []),
    ...(tunnel.natMappings > 0
      ? [["Changes of the peer's address", count(tunnel.natMappings)] as const]
      : []),
  ];
  return (
    <dl class="properties">
      {rows.flatMap(([name, value]) =>
        value
          ? [
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>,
            ]
          : [],
      )}
    </dl>
  );
}

/** Whether an SA is outbound: it goes to the remote end. */
const directionOf = (sa: PageSa, tunnel: PageTunnel) =>
  tunnel.sas.out.some(
    (one) => one.spi === sa.spi && one.daddr === sa.daddr && one.proto === sa.proto,
  )
    ? 'out'
    : 'in';

function Sas(props: {
  readonly sas: readonly PageSa[];
  readonly tunnel: PageTunnel;
  readonly now: number;
}) {
  const { sas, tunnel, now } = props;
  if (sas.length === 0) return <p class="empty">None.</p>;
  const byAge = [...sas].sort((a, b) => b.current.addedAt - a.current.addedAt);
  return (
    <ul class="sas">
      {byAge.map((sa) => {
        const direction = directionOf(sa, tunnel);
        return (
          <li key={`${sa.daddr} ${sa.proto} ${sa.spi}`} data-spi={spi(sa.spi)}>
            <h3>
              <span class={`direction ${direction}`}>{direction}</span> {sa.proto} {spi(sa.spi)}
            </h3>
            <p class="ends">
              {sa.saddr} → {sa.daddr}
            </p>
            <p>
              {[
                ...algorithms(sa),
                sa.mode,
                `reqid ${sa.reqid}`,
                ...extras(sa),
                ...sa.flags.names,
              ].join(', ')}
            </p>
            <p>
              added {clock(sa.current.addedAt, now)}; {bytes(sa.current.bytes)},{' '}
              {plural(Number(sa.current.packets), 'packet')}
              {refusedPackets(sa.stats).map((text) => `; ${text}`)}
            </p>
            <dl class="limits">
              {limitsOf(sa, direction, now).map((one) => (
                <div key={`${one.what} ${one.text}`}>
                  <dt>{one.what}</dt>
                  <dd>
                    <Meter {...one} />
                    {one.text}
                  </dd>
                </div>
              ))}
            </dl>
          </li>
        );
      })}
    </ul>
  );
}

/** A used share, with the soft limit as a notch. The text next to it says the same. */
function Meter({ used, soft }: { readonly used: number; readonly soft: number | undefined }) {
  const tone = used > 0.9 ? 'bad' : soft !== undefined && used >= soft ? 'warn' : 'good';
  return (
    <svg class={`meter ${tone}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class="track" width="100" height="8" />
      <rect class="used" width={used * 100} height="8" />
      {soft !== undefined && <rect class="soft" x={soft * 100} width="1" height="8" />}
    </svg>
  );
}

function Policies({ policies }: { readonly policies: readonly PagePolicy[] }) {
  if (policies.length === 0) return <p class="empty">None.</p>;
  return (
    <div class="wide">
      <table>
        <thead>
          <tr>
            {['Direction', 'Traffic', 'Action', 'Priority', 'Templates'].map((head) => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {policies.map((one) => (
            <tr key={one.index}>
              <td>{one.dir}</td>
              <td class="ends">{describeSelector(one.selector)}</td>
              <td>{one.action}</td>
              <td>{one.priority}</td>
              <td class="ends">{one.templates?.map(describeTemplate).join(' ') ?? 'none'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
