/** The log: what happened, as far back as the daemon keeps it for a new page, newest first. @module */
import type { LogEntry } from './model.ts';
import { hrefOf } from './route.ts';
import type { Session } from './session.ts';
import { clock } from './words.ts';

export function LogView({ session, query }: { readonly session: Session; readonly query: string }) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const entries = session.log.filter((one) => {
    const text = lineOf(one).toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return (
    <>
      <h1>Events</h1>
      <search>
        <form class="controls" onSubmit={(event) => event.preventDefault()}>
          <div class="search">
            <label for="query">Search</label>
            <input
              id="query"
              type="search"
              value={query}
              onInput={({ currentTarget }) =>
                session.show({ name: 'log', query: currentTarget.value })
              }
            />
          </div>
        </form>
      </search>
      <Log session={session} entries={entries} />
    </>
  );
}

const lineOf = ({ tunnel, netns, what, text }: LogEntry): string =>
  `${tunnel?.title ?? 'host'} ${netns ?? ''} ${what} ${text}`;

/** Entries as a table. */
export function Log(props: {
  readonly session: Session;
  readonly entries: readonly LogEntry[];
  /** All are of one tunnel, which need not be named. */
  readonly ofOne?: boolean;
}) {
  const { session, entries, ofOne = false } = props;
  if (entries.length === 0) return <p class="empty">No events recorded.</p>;
  return (
    <table class="log" role="table" aria-label="Events">
      <thead role="rowgroup">
        <tr role="row">
          {['Time', ...(ofOne ? [] : ['Tunnel']), 'Change', 'What happened'].map((head) => (
            <th key={head} role="columnheader" scope="col">
              {head}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {entries.map(({ key, at, what, text, tone, tunnel, netns }) => {
          const time = new Date(at).toISOString();
          return (
            <tr key={key} role="row" class={tone} data-what={what}>
              <td role="cell">
                <time dateTime={time}>{clock(at, session.now, true)}</time>
              </td>
              {!ofOne && (
                <td role="cell">
                  {tunnel ? (
                    <a href={hrefOf({ name: 'tunnel', key: tunnel.key })}>{tunnel.title}</a>
                  ) : (
                    (netns ?? 'host')
                  )}
                </td>
              )}
              <td role="cell">
                <span class={`tone ${tone}`}>{what}</span>
              </td>
              <td role="cell">{text}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
