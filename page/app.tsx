/** The frame of the page: host, badges, navigation, and one of the views. @module */
import type { ComponentChildren } from 'preact';
import { DetailView } from './detail.tsx';
import { ListView } from './list.tsx';
import { LogView } from './log.tsx';
import { ALL_TUNNELS, hrefOf } from './route.ts';
import type { Session } from './session.ts';
import type { Host, HostNamespace } from './wire.ts';
import { cap, clock, plural, span } from './words.ts';

export function App({ session }: { readonly session: Session }) {
  const { model, view } = session;
  if (model.link.kind === 'locked') return <Locked session={session} wrong={model.link.wrong} />;
  return (
    <>
      <button type="button" class="skip" onClick={toContent}>
        Skip to the content
      </button>
      <header class="top">
        <div class="brand">
          <span class="host">{model.host?.host ?? 'Tunnels'}</span>
          {model.host && <span class="version">netlink-xfrm {model.host.version}</span>}
        </div>
        <nav aria-label="Views">
          <NavLink href={ALL_TUNNELS} current={view.name === 'list'}>
            Tunnels
          </NavLink>
          <NavLink href={hrefOf({ name: 'log', query: '' })} current={view.name === 'log'}>
            Events
          </NavLink>
        </nav>
        <Status session={session} />
      </header>
      <Lost session={session} />
      {session.paused && (
        <p class="banner note" role="status">
          Paused at <time>{clock(session.paused.at, session.now)}</time>;{' '}
          {plural(session.missed, 'event')} since.{' '}
          <button type="button" onClick={() => session.togglePause()}>
            Resume
          </button>
        </p>
      )}
      <main id="main" tabIndex={-1}>
        {model.host === undefined ? (
          <p class="empty">Loading …</p>
        ) : view.name === 'list' ? (
          <ListView session={session} view={view} />
        ) : view.name === 'tunnel' ? (
          <DetailView session={session} tunnelKey={view.key} />
        ) : (
          <LogView session={session} query={view.query} />
        )}
      </main>
      <p class="unseen" aria-live="polite">
        {session.news}
      </p>
    </>
  );
}

/** Not a link: the part of the address after `#` is the view's. */
const toContent = () => document.getElementById('main')?.focus();

function NavLink(props: { href: string; current: boolean; children: ComponentChildren }) {
  return (
    <a href={props.href} {...(props.current && { 'aria-current': 'page' as const })}>
      {props.children}
    </a>
  );
}

const WORST_FIRST = ['blind', 'repairing', 'synced'] as const;
const MEANING: Readonly<Record<HostNamespace['state'], string>> = {
  synced: 'the tables match the kernel',
  repairing: 'events were lost; the tables are being compared with the kernel',
  blind: 'the state of the kernel is unknown',
};

function nameOf({ name }: HostNamespace): string {
  return name ?? 'this namespace';
}

/** The badge: how far the picture can be relied on. */
function Status({ session }: { readonly session: Session }) {
  const { host, link } = session.model;
  if (host === undefined) return null;
  const worst =
    WORST_FIRST.find((state) => host.namespaces.some((one) => one.state === state)) ?? 'blind';
  const badge = link.kind === 'live' ? worst : 'lost';
  const { overruns, repairs } = sums(host);
  return (
    <details class="status">
      <summary>
        <span class={`badge ${badge}`} id="badge">
          {badge === 'lost' ? 'no connection' : badge}
        </span>
      </summary>
      <div class="status-more">
        <p>{badge === 'lost' ? 'Showing the last known state.' : `${cap(MEANING[worst])}.`}</p>
        <ul>
          {host.namespaces.map((one) => (
            <li key={one.name}>
              {nameOf(one)}: {one.state}
              {one.syncedAt !== null && `, last compared ${clock(one.syncedAt, session.now)}`}
              {one.reason !== undefined && `, ${one.reason}`}
            </li>
          ))}
        </ul>
        <p>
          {plural(overruns, 'loss', 'losses')} of events, {plural(repairs, 'repair')} since the
          daemon started {span(session.now - host.startedAt)} ago.
        </p>
      </div>
    </details>
  );
}

const sums = ({ namespaces }: Host) => ({
  overruns: namespaces.reduce((all, one) => all + one.overruns, 0),
  repairs: namespaces.reduce((all, one) => all + one.repairs, 0),
});

/** What keeps the page from being right. */
function Lost({ session }: { readonly session: Session }) {
  const { link, host } = session.model;
  const blind = host?.namespaces.filter(({ state }) => state === 'blind') ?? [];
  return (
    <div role="alert">
      {link.kind === 'lost' && (
        <p class="banner bad">
          No connection to the daemon since {clock(link.since, Date.now())}: {link.reason}. What is
          shown is of before; the page goes on trying.
        </p>
      )}
      {link.kind !== 'lost' &&
        blind.map((one) => (
          <p class="banner bad" key={one.name}>
            The kernel's state of {nameOf(one)} is unknown: {one.reason ?? 'no reason given'}.
          </p>
        ))}
    </div>
  );
}

/** Asks for the token. */
function Locked({ session, wrong }: { readonly session: Session; readonly wrong: boolean }) {
  const submit = (event: Event) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    session.unlock(String(data.get('token')).trim());
  };
  return (
    <main class="locked">
      <form onSubmit={submit}>
        <h1>This daemon requires a token</h1>
        <label for="token">Token</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="off"
          required
          autofocus
          aria-describedby="token-help"
          aria-invalid={wrong}
        />
        <p id="token-help" role={wrong ? 'alert' : undefined}>
          {wrong ? 'Wrong token. ' : ''}It is in the file passed to the daemon with --token-file,
          and is kept until this tab is closed.
        </p>
        <button type="submit">Open</button>
      </form>
    </main>
  );
}
