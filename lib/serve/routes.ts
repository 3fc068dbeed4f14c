/** The paths of the HTTP interface (docs/serve.md). @module */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { CONTENT_TYPES, familyText, formatFor, metricsText } from '../metrics/exposition.ts';
import type { Sample } from '../metrics/metric.ts';
import { SERVE_METRICS } from '../metrics/table.ts';
import { entriesJson, historyJson, hostJson, tunnelDetails, tunnelsJson } from './api.ts';
import { EVENT_KINDS, type EventKind } from './event-log.ts';
import { EventStreams } from './event-streams.ts';
import { type Refusal, sendError, sendText } from './http-server.ts';
import { isPageFile, pageFile } from './page-files.ts';
import { acceptsGzip, sendPieces } from './pieces.ts';
import { filterOf, numberOf, QueryError, queryOf, tunnelFilterOf } from './query.ts';
import type { Service } from './service.ts';
import { SharedAnswers } from './shared-answers.ts';

/** Long answers made at the same time; the others are asked to come again. */
const MOST_AT_ONCE = 16;
const JSON_TYPE = 'application/json';

type Name = (typeof SERVE_METRICS)[number]['name'];
/** The values of the metrics about the daemon itself. */
export type OwnSamples = (name: Name) => Iterable<Sample>;

export class Routes {
  readonly #service: Service;
  readonly #version: string;
  readonly #own: OwnSamples;
  readonly #refused: (why: Refusal) => void;
  readonly streams: EventStreams;
  readonly #answers = new SharedAnswers();
  #busy = 0;

  constructor(service: Service, version: string, own: OwnSamples, refused: (why: Refusal) => void) {
    this.#service = service;
    this.#version = version;
    this.#own = own;
    this.#refused = refused;
    this.streams = new EventStreams(service.log, refused);
  }

  /** Probes need no token: they say nothing but whether it works. The page asks for it itself. */
  isOpen(path: string): boolean {
    return path === '/healthz' || path === '/readyz' || isPageFile(path);
  }

  handle(request: IncomingMessage, response: ServerResponse, url: URL): boolean {
    try {
      return this.#handle(request, response, url);
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      sendError(response, 400, error.message);
      return true;
    }
  }

  #handle(request: IncomingMessage, response: ServerResponse, url: URL): boolean {
    const path = pathOf(url);
    switch (path) {
      case '/metrics':
        this.#metrics(request, response);
        return true;
      case '/healthz':
        sendText(response, 200, 'text/plain; charset=utf-8', 'ok\n');
        return true;
      case '/readyz':
        this.#ready(response);
        return true;
      case '/api/host':
        sendText(response, 200, JSON_TYPE, hostJson(this.#service, this.#version, hostname()));
        return true;
      case '/api/tunnels': {
        const { terms, named } = queryOf(url, 'netns');
        const filter = tunnelFilterOf(terms);
        const make = () => tunnelsJson(this.#service, filter, netnsOf(named));
        if (acceptsGzip(request.headers['accept-encoding'] as string | undefined)) {
          this.#shared(response, url.search, make);
        } else this.#json(request, response, make());
        return true;
      }
      case '/api/states':
      case '/api/policies': {
        const { terms, named } = queryOf(url, 'netns');
        const what = path === '/api/states' ? 'states' : 'policies';
        const pieces = entriesJson(this.#service, what, filterOf(terms), netnsOf(named));
        this.#json(request, response, pieces);
        return true;
      }
      case '/api/history': {
        const { terms, named } = queryOf(url, 'since', 'tunnel');
        const keys = url.searchParams.getAll('tunnel');
        if (terms.length > 0) throw new QueryError('expected since=MS or tunnel=KEY');
        const since = numberOf('since', named.get('since')) ?? Date.now() - 3_600_000;
        this.#json(request, response, historyJson(this.#service, since, keys));
        return true;
      }
      case '/api/events':
        this.#events(request, response, url);
        return true;
      default:
    }
    if (path?.startsWith('/api/tunnels/')) {
      const details = tunnelDetails(this.#service, path.slice('/api/tunnels/'.length));
      if (details === undefined) sendError(response, 404, 'no such tunnel');
      else sendText(response, 200, JSON_TYPE, details);
      return true;
    }
    const file = path === undefined ? undefined : pageFile(path);
    if (file === undefined) return false;
    const gzip = acceptsGzip(request.headers['accept-encoding'] as string | undefined);
    response.setHeader('vary', 'accept-encoding');
    if (gzip) response.setHeader('content-encoding', 'gzip');
    sendText(response, 200, file.type, gzip ? file.gzipped : file.body);
    return true;
  }

  #metrics(request: IncomingMessage, response: ServerResponse): void {
    const format = formatFor(request.headers.accept);
    const sources = this.#service.namespaces.map(({ source }) => source);
    const own = this.#own;
    const pieces = function* () {
      yield* metricsText(sources, format);
      for (const metric of SERVE_METRICS) yield* familyText(metric, own(metric.name), format);
      if (format === 'openmetrics') yield '# EOF\n';
    };
    this.#pieces(request, response, CONTENT_TYPES[format], pieces());
  }

  #ready(response: ServerResponse): void {
    const { blind } = this.#service;
    const type = 'text/plain; charset=utf-8';
    if (blind.length === 0) sendText(response, 200, type, 'ok\n');
    else {
      const lines = blind.map(
        ({ name, state }) => `${name ?? 'this namespace'}: ${state.reason ?? 'not synced yet'}\n`,
      );
      sendText(response, 503, type, lines.join(''));
    }
  }

  #events(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const { terms, named } = queryOf(url, 'kinds', 'netns', 'since', 'last');
    const kinds = kindsOf(named.get('kinds'));
    const ofKernel = kinds.has('sa') || kinds.has('policy');
    const tunnels = tunnelFilterOf(terms, ofKernel ? 'events' : 'changes');
    const wanted = { kinds, netns: netnsOf(named), tunnels };
    const header = request.headers['last-event-id'];
    const resumed =
      typeof header === 'string' && header !== ''
        ? numberOf('Last-Event-ID', header)
        : numberOf('since', named.get('since'));
    const last = numberOf('last', named.get('last'));
    const from = resumed ?? (last === undefined ? undefined : this.#service.log.beforeLast(last));
    if (this.streams.size >= this.#service.config.eventStreams) {
      response.setHeader('retry-after', '10');
      response.shouldKeepAlive = false;
      this.#refused('busy');
      sendError(response, 503, 'too many streams of events');
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    request.socket.setTimeout(0);
    this.streams.add(response, wanted, from);
  }

  #json(request: IncomingMessage, response: ServerResponse, pieces: Iterable<string>): void {
    this.#pieces(request, response, JSON_TYPE, pieces);
  }

  /** Answers with what is made once for all that ask before anything changes. */
  #shared(response: ServerResponse, query: string, make: () => Iterable<string>): void {
    const { version } = this.#service;
    const isMade = this.#answers.has(query, version);
    if (!isMade && this.#isBusy(response)) return;
    if (!isMade) this.#busy++;
    // Nothing is written while it is being made.
    response.socket?.setTimeout(0);
    this.#answers
      .get(query, version, make)
      .finally(() => {
        if (!isMade) this.#busy--;
      })
      .then((chunks) => sendPieces(response, JSON_TYPE, chunks, 'done', this.#refused))
      .catch((error: Error) => this.#failed(response, error));
  }

  /** Whether it makes so many answers that it asked to come again. */
  #isBusy(response: ServerResponse): boolean {
    if (this.#busy < MOST_AT_ONCE) return false;
    response.setHeader('retry-after', '1');
    this.#refused('busy');
    sendError(response, 503, 'too many requests at once');
    return true;
  }

  #failed(response: ServerResponse, error: Error): void {
    response.destroy();
    const text = `an answer could not be made: ${error.message}`;
    this.#service.lifeCycle.notice('error', 'answer-failed', text);
  }

  #pieces(
    request: IncomingMessage,
    response: ServerResponse,
    type: string,
    pieces: Iterable<string | Uint8Array>,
  ): void {
    if (this.#isBusy(response)) return;
    this.#busy++;
    const gzip = acceptsGzip(request.headers['accept-encoding'] as string | undefined);
    sendPieces(response, type, pieces, gzip, this.#refused)
      .catch((error: Error) => this.#failed(response, error))
      .finally(() => this.#busy--);
  }
}

/** The decoded path; undefined if it is not valid. */
function pathOf(url: URL): string | undefined {
  try {
    return decodeURIComponent(url.pathname);
  } catch {
    return undefined;
  }
}

/** `netns=`, with nothing behind it, is the process's own. */
function netnsOf(named: ReadonlyMap<string, string>): string | null | undefined {
  const netns = named.get('netns');
  return netns === '' ? null : netns;
}

function kindsOf(text: string | undefined): ReadonlySet<EventKind> {
  if (text === undefined) return new Set(['tunnel', 'state']);
  const words = text.split(',', 8);
  const wrong = words.find((word) => !(EVENT_KINDS as readonly string[]).includes(word));
  if (wrong === undefined) return new Set(words as EventKind[]);
  throw new QueryError(`kinds: expected some of ${EVENT_KINDS.join(', ')}, with commas between`);
}
