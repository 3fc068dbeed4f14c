/** The tunnels of the host, worst first. @module */

import { carries } from '../lib/tunnel/tunnel.ts';
import { rateNow, totalOf } from './history.ts';
import { keyOf } from './model.ts';
import { hrefOf, type ListAt } from './route.ts';
import { countStates, ORDERS, type Order, statesOf, withStates } from './select.ts';
import type { Session } from './session.ts';
import { StateMark, Tick } from './state.tsx';
import { Timeline } from './timeline.tsx';
import { WINDOWS, type WindowName } from './windows.ts';
import type { PageTunnel } from './wire.ts';
import {
  ageOf,
  bytes,
  count,
  endsOf,
  expiryOf,
  plural,
  qualifiersOf,
  rate,
  span,
  titleOf,
  warningText,
} from './words.ts';

export function ListView({ session, view }: { readonly session: Session; readonly view: ListAt }) {
  const shown = session.shown(view);
  const { size } = session.tunnels;
  const warnings = session.model.host?.namespaces.flatMap((one) => one.warnings ?? []) ?? [];
  return (
    <>
      <h1 class="unseen">Tunnels</h1>
      <Summary session={session} view={view} />
      <Controls session={session} view={view} wrong={shown.wrong} />
      {warnings.length > 0 && (
        <ul class="warnings" aria-label="Warnings about the host">
          {warnings.map((one) => (
            <li key={`${one.kind} ${one.what}`}>{warningText(one)}</li>
          ))}
        </ul>
      )}
      {shown.tunnels.length === 0 ? (
        <p class="empty">
          {shown.wrong !== undefined
            ? 'Invalid query.'
            : shown.isAsked
              ? 'Loading …'
              : size === 0
                ? 'No tunnels: the kernel has no SAs or policies that form one, and none is expected.'
                : `None of ${plural(size, 'tunnel')} matches the query.`}
        </p>
      ) : (
        <table class="tunnels" role="table" aria-label="Tunnels">
          <thead role="rowgroup">
            <tr role="row">
              {['State', 'Tunnel', `Last ${session.window}`, 'Traffic', 'Keys'].map((head) => (
                <th key={head} role="columnheader" scope="col">
                  {head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.tunnels.map((one) => (
              <Row key={keyOf(one)} session={session} tunnel={one} />
            ))}
          </tbody>
        </table>
      )}
      <Pages
        session={session}
        view={view}
        page={shown.page}
        pages={shown.pages}
        all={shown.matching}
      />
    </>
  );
}

/** How many tunnels are in which state; each a button that shows only those. */
function Summary({ session, view }: { readonly session: Session; readonly view: ListAt }) {
  const chosen = statesOf(view.query);
  const toggle = (state: string) =>
    session.showList(({ query }) => {
      const before = statesOf(query);
      const states = before.includes(state)
        ? before.filter((one) => one !== state)
        : [...before, state];
      return { page: 1, query: withStates(query, states) };
    });
  return (
    <fieldset class="summary">
      <legend class="unseen">Tunnels by state</legend>
      {countStates(session.tunnels.values()).map(([state, n]) => (
        <button
          type="button"
          key={state}
          class={`chip ${state}`}
          aria-pressed={chosen.includes(state)}
          onClick={() => toggle(state)}
        >
          <strong>{count(n)}</strong> {state}
        </button>
      ))}
    </fieldset>
  );
}

function Controls(props: {
  readonly session: Session;
  readonly view: ListAt;
  readonly wrong: string | undefined;
}) {
  const { session, view, wrong } = props;
  return (
    <search>
      <form class="controls" onSubmit={(event) => event.preventDefault()}>
        <div class="search">
          <label for="query">Search</label>
          <input
            id="query"
            type="search"
            value={view.query}
            placeholder="paris peer=10.0.0.0/8 state!=up"
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            aria-describedby={wrong === undefined ? 'query-help' : 'query-wrong'}
            aria-invalid={wrong !== undefined}
            onInput={({ currentTarget }) =>
              session.showList({ page: 1, query: currentTarget.value })
            }
          />
          <p id="query-help" class="unseen">
            Words, and filters as those of the command: peer, src, dst, proto, spi, reqid, mark,
            if_id, dir, state, name and warning, each with = or !=
          </p>
          {wrong !== undefined && (
            <pre id="query-wrong" class="wrong" role="alert">
              {wrong}
            </pre>
          )}
        </div>
        <div>
          <label for="order">Order</label>
          <select
            id="order"
            value={view.order}
            onChange={({ currentTarget }) =>
              session.showList({ page: 1, order: currentTarget.value as Order })
            }
          >
            {Object.entries(ORDERS).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </div>
        <WindowSelect session={session} />
        <button
          type="button"
          class="pause"
          aria-pressed={session.paused !== undefined}
          onClick={() => session.togglePause()}
        >
          Pause
        </button>
      </form>
    </search>
  );
}

/** The length of the time axis. */
export function WindowSelect({ session }: { readonly session: Session }) {
  return (
    <div>
      <label for="window">Time axis</label>
      <select
        id="window"
        value={session.window}
        onChange={({ currentTarget }) => session.setWindow(currentTarget.value as WindowName)}
      >
        {Object.keys(WINDOWS).map((name) => (
          <option key={name} value={name}>
            last {name}
          </option>
        ))}
      </select>
    </div>
  );
}

function Row({ session, tunnel }: { readonly session: Session; readonly tunnel: PageTunnel }) {
  const { now } = session;
  const key = keyOf(tunnel);
  const history = session.history(key);
  // The last sample may be of before.
  const rates = carries(tunnel.state) ? rateNow(history) : undefined;
  const { traffic, installedAt, rekeys } = tunnel;
  const expires = expiryOf(tunnel);
  const title = titleOf(tunnel);
  return (
    <tr role="row" class={tunnel.state} data-tunnel={key}>
      <td role="cell" class="state">
        <StateMark state={tunnel.state} />
        <span class="age">{ageOf(tunnel, now)}</span>
      </td>
      <th role="rowheader" scope="row">
        <a class="title" href={hrefOf({ name: 'tunnel', key })}>
          {title}
        </a>
        {tunnel.name !== undefined && <span class="ends">{endsOf(tunnel)}</span>}
        <span class="qualifiers">{qualifiersOf(tunnel).join(' · ')}</span>
        {tunnel.state !== 'up' && <span class="why">{tunnel.reason}</span>}
        {tunnel.warnings.map((one) => (
          <span class="warning" key={`${one.kind} ${one.what}`}>
            {warningText(one)}
          </span>
        ))}
      </th>
      <td role="cell" class="picture">
        <Timeline title={title} history={history} {...session.axis} />
      </td>
      <td role="cell" class="traffic">
        {(['out', 'in'] as const).map((direction) => (
          <span class={direction} key={direction}>
            <Tick direction={direction} /> {rates ? rate(rates[direction]) : '–'}
            <small>{bytes(totalOf(history, direction, Number(traffic[direction].bytes)))}</small>
          </span>
        ))}
      </td>
      <td role="cell" class="keys">
        {installedAt !== undefined && <span>keyed {span(now - installedAt)} ago</span>}
        {rekeys > 0 && <span>{plural(rekeys, 'rekey')}</span>}
        {expires !== undefined && <span>expires in {span(expires - now)}</span>}
      </td>
    </tr>
  );
}

function Pages(props: {
  readonly session: Session;
  readonly view: ListAt;
  readonly page: number;
  readonly pages: number;
  readonly all: number;
}) {
  const { view, page, pages, all } = props;
  if (pages === 1) return null;
  const link = (to: number, text: string) =>
    to < 1 || to > pages ? (
      <span class="off">{text}</span>
    ) : (
      <a href={hrefOf({ ...view, page: to })}>{text}</a>
    );
  return (
    <nav class="pages" aria-label="Pages">
      {link(page - 1, 'Previous')}
      <span>
        Page {page} of {count(pages)}, {plural(all, 'tunnel')}
      </span>
      {link(page + 1, 'Next')}
    </nav>
  );
}
