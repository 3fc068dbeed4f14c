/** A visit of the page, with answers and a stream that the test gives. Drawing is tested in a browser (test/browser/). */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { build } from 'esbuild';
import { toJson } from '../../lib/index.ts';
import type { LogEntry } from '../../page/model.ts';
import type { PageTunnel } from '../../page/wire.ts';
import { ago, NOW, tunnel as sample } from './tunnel-samples.ts';

/** Of page/session.ts, which is written for a browser, what is used here. */
interface Visit {
  readonly model: {
    readonly tunnels: ReadonlyMap<string, PageTunnel>;
    readonly link: { readonly kind: string };
  };
  readonly tunnels: ReadonlyMap<string, PageTunnel>;
  readonly log: readonly LogEntry[];
  readonly detail: { readonly of: unknown; readonly error?: string } | undefined;
  run(): void;
  togglePause(): void;
}

const { outputFiles } = await build({
  absWorkingDir: join(import.meta.dirname, '../../..'),
  entryPoints: ['page/session.ts'],
  bundle: true,
  write: false,
  format: 'iife',
  globalName: 'page',
  external: ['node:*'],
  tsconfigRaw: {},
});
const code = `${outputFiles[0]?.text}; new page.Session(() => {})`;

const paris = (more: NonNullable<Parameters<typeof sample>[0]> = {}) =>
  toJson(sample({ id: 'paris', name: 'paris', ...more })) as unknown as PageTunnel;
const down = paris({ state: 'down', since: ago(200), reason: 'no SAs or policies' });
const HOST = {
  version: '1',
  host: 'gw',
  startedAt: 0,
  at: NOW,
  refreshSeconds: 10,
  namespaces: [],
};

/** Waits until something is true: all that happens here takes turns of the event loop only. */
async function until(what: string, isSo: () => unknown): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (isSo()) return;
    await turn();
  }
  assert.fail(what);
}

/** A daemon whose answers wait until they are given. */
class Daemon {
  /** Requests without an answer, by path. */
  readonly asked: { readonly path: string; answer(body: object, status?: number): void }[] = [];
  /** Headers of the requests for a stream. */
  readonly opened: Record<string, string>[] = [];
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;

  readonly fetch = (path: string, init: RequestInit): Promise<Response> => {
    if (path.startsWith('api/events')) {
      this.opened.push(init.headers as Record<string, string>);
      return Promise.resolve(new Response(this.#open(init.signal as AbortSignal)));
    }
    if (path === 'api/host') return Promise.resolve(Response.json(HOST));
    if (path.startsWith('api/history')) {
      return Promise.resolve(Response.json({ since: NOW, tunnels: {} }));
    }
    return new Promise((resolve) => {
      const answer = (body: object, status = 200) => resolve(Response.json(body, { status }));
      this.asked.push({ path, answer });
    });
  };

  #open(signal: AbortSignal): ReadableStream<Uint8Array> {
    return new ReadableStream({
      start: (controller) => {
        this.#stream = controller;
        signal.addEventListener('abort', () => controller.error(signal.reason));
      },
    });
  }

  send(id: number, event: string, data: object = {}): void {
    const text = `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    this.#stream?.enqueue(new TextEncoder().encode(text));
  }

  sendChange(id: number, change: string, more: object): void {
    const time = new Date(NOW + id).toISOString();
    this.send(id, 'tunnel', { time, netns: null, change, ...more });
  }

  /** Answers the next question with this path. */
  async answer(path: string, body: object, status?: number): Promise<void> {
    await until(`a question for ${path}`, () => this.asked.some((one) => one.path === path));
    const i = this.asked.findIndex((one) => one.path === path);
    this.asked.splice(i, 1)[0]?.answer(body, status);
  }
}

/** A page that shows what an address says, after the first answers. */
async function visit(hash = ''): Promise<{ daemon: Daemon; session: Visit }> {
  const daemon = new Daemon();
  const nothing = () => {};
  const session: Visit = runInNewContext(code, {
    ...{ AbortController, TextDecoder, URLSearchParams, console, clearTimeout },
    // Attempts follow at once; no other timer keeps the test running.
    setTimeout: (then: () => void, ms: number) =>
      ms < 1000 ? setImmediate(then) : setTimeout(then, ms).unref(),
    setInterval: nothing,
    // Modules of Node are named in functions that the page does not use.
    require: () => ({}),
    fetch: daemon.fetch,
    location: { hash },
    addEventListener: nothing,
    document: { hidden: false, addEventListener: nothing },
    sessionStorage: { getItem: () => null },
  });
  session.run();
  await daemon.answer('api/tunnels', { tunnels: [paris()], event: 1 });
  await until('a live page', () => session.model.link.kind === 'live');
  return { daemon, session };
}

const DOWN = { before: 'up', reason: { kind: 'expired' }, tunnel: down };
const stateOf = ({ model }: Visit) => model.tunnels.get('paris')?.state;

test('what comes after a gap is applied after the list that is fetched for it', async () => {
  const { daemon, session } = await visit();
  daemon.send(5, 'gap');
  await until('a question', () => daemon.asked.length === 1);
  daemon.sendChange(6, 'down', DOWN);
  await turn();
  assert.equal(stateOf(session), 'up');
  await daemon.answer('api/tunnels', { tunnels: [paris()], event: 5 });
  await until('the change', () => stateOf(session) === 'down');
});

test('a gap that cannot be filled is asked for again', async () => {
  const { daemon, session } = await visit();
  daemon.sendChange(2, 'state', { before: 'up', rekey: false, tunnel: paris() });
  daemon.send(5, 'gap');
  daemon.sendChange(6, 'down', DOWN);
  await daemon.answer('api/tunnels', { error: 'overloaded' }, 503);
  await until('another stream', () => daemon.opened.length === 2);
  assert.equal(daemon.opened[1]?.['Last-Event-ID'], '2');
  assert.equal(stateOf(session), 'up');
  daemon.send(5, 'gap');
  await daemon.answer('api/tunnels', { tunnels: [down], event: 6 });
  await until('the list', () => stateOf(session) === 'down');
  await until('a live page', () => session.model.link.kind === 'live');
});

test('a removed tunnel is not brought back by the details that were asked for before', async () => {
  const { daemon, session } = await visit('#/tunnel/paris');
  const details = { tunnel: paris(), sas: [], policies: [] };
  await until('a question', () => daemon.asked.length === 1);
  daemon.sendChange(2, 'removed', { tunnel: down });
  await until('the change', () => !session.model.tunnels.has('paris'));
  await daemon.answer('api/tunnels/paris', details);
  await until('details', () => session.detail?.of);
  assert.equal(session.model.tunnels.has('paris'), false);
  await daemon.answer('api/tunnels/paris', { error: 'no such tunnel' }, 404);
  await until('its end', () => session.detail?.of === undefined);
  assert.match(session.detail?.error ?? '', /^This tunnel does not exist/);
});

test('a pause keeps the tunnels, the details and the log', async () => {
  const { daemon, session } = await visit('#/tunnel/paris');
  const details = { tunnel: paris(), sas: [], policies: [] };
  await daemon.answer('api/tunnels/paris', details);
  await until('details', () => session.detail?.of);
  const { of } = session.detail ?? {};
  session.togglePause();
  daemon.sendChange(2, 'down', DOWN);
  await until('the change', () => stateOf(session) === 'down');
  assert.equal(session.tunnels.get('paris')?.state, 'up');
  assert.equal(session.log.length, 0);
  assert.deepEqual(daemon.asked, []);
  assert.equal(session.detail?.of, of);
  session.togglePause();
  await daemon.answer('api/tunnels/paris', { ...details, tunnel: down });
  await until('new details', () => session.detail?.of !== of);
  assert.equal(session.tunnels.get('paris')?.state, 'down');
  assert.equal(session.log.length, 1);
});
