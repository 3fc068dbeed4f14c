/**
 * HTTP for programs that can be trusted with nothing: limits on everything a client can do, and the
 * same strict headers on each answer. Knows no tunnels. @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Token } from './access.ts';
import { isHostAllowed, type ListenAddress } from './listen-address.ts';

/** Milliseconds for a request to arrive as a whole, and for a handshake. */
const REQUEST = 10_000;
/** Milliseconds between two looks at connections that are too slow. */
const LOOK = 1000;
/** Milliseconds in which a connection may be idle between requests. */
const KEEP_ALIVE = 30_000;
/** Milliseconds in which a reader must take something. */
const WRITE = 30_000;
/** Bytes of a request's headers. */
const HEADERS = 16 * 1024;

/** On every answer. Nothing from elsewhere runs on the page, and nobody frames it. */
const STRICT: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

/** What may change while it listens. */
export interface Access {
  readonly hosts: ReadonlySet<string>;
  readonly token: Token | undefined;
  readonly tls: Credentials | undefined;
}

/** Why a request or a connection was refused or cut off. */
export type Refusal =
  | 'host'
  | 'token'
  | 'method'
  | 'not-found'
  | 'malformed'
  | 'timeout'
  | 'connections'
  | 'busy'
  | 'slow-reader';

export interface HttpHooks {
  /** Answers a request. @returns whether there is such a path */
  handle(request: IncomingMessage, response: ServerResponse, url: URL): boolean;
  /** Whether a path is answered without a token. */
  isOpen(path: string): boolean;
  refused(why: Refusal, from: string | undefined): void;
  answered(status: number): void;
  /** An error that is nobody's fault but ours; the request is answered. */
  failed(error: Error): void;
}

interface Connection {
  /** What is being answered. */
  answer: ServerResponse | undefined;
  /** Whether a request waits for that. */
  hasNext: boolean;
}

export class HttpServer {
  readonly #server: Server | TlsServer;
  readonly #hooks: HttpHooks;
  readonly #connections = new Map<Socket, Connection>();
  readonly #most: number;
  #access: Access;

  constructor(access: Access, most: number, hooks: HttpHooks) {
    this.#access = access;
    this.#most = most;
    this.#hooks = hooks;
    const options = {
      maxHeaderSize: HEADERS,
      headersTimeout: REQUEST,
      requestTimeout: REQUEST,
      connectionsCheckingInterval: LOOK,
      keepAliveTimeout: KEEP_ALIVE,
      // Without it, a request without Host would be answered by Node.
      requireHostHeader: false,
    };
    const listener = (request: IncomingMessage, response: ServerResponse) =>
      this.#request(request, response);
    const { tls } = access;
    this.#server = tls
      ? createTlsServer(
          { ...options, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: REQUEST },
          listener,
        )
      : createServer(options, listener);
    this.#server.maxHeadersCount = 64;
    this.#server.on('connection', (socket: Socket) => this.#connected(socket));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      this.#malformed(error, socket as Socket);
    });
    // A reader that takes nothing, or a client that sends nothing, and would stay forever.
    this.#server.setTimeout(WRITE, (socket: Socket) => {
      if (this.#connectionOf(socket)?.answer) hooks.refused('slow-reader', socket.remoteAddress);
      socket.destroy();
    });
  }

  /** @throws (the promise is rejected) as listen(2) fails: EADDRINUSE, EACCES, EADDRNOTAVAIL */
  listen({ host, port }: ListenAddress): Promise<ListenAddress> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ port, ...(host !== undefined && { host }) }, () => {
        this.#server.off('error', reject);
        const address = this.#server.address();
        const real = typeof address === 'object' && address ? address.port : port;
        resolve({ host, port: real });
      });
    });
  }

  get connections(): number {
    return this.#connections.size;
  }

  get access(): Access {
    return this.#access;
  }

  /** Takes other certificates, names and tokens; connections that are open stay. */
  set access(access: Access) {
    if (access.tls && 'setSecureContext' in this.#server) {
      this.#server.setSecureContext({ ...access.tls, minVersion: 'TLSv1.2' });
    }
    this.#access = access;
  }

  /** Stops listening, and ends all connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    for (const socket of this.#connections.keys()) socket.destroy();
    await closed;
  }

  /** Of TLS, the connection is the one below. */
  #connectionOf(socket: Socket): Connection | undefined {
    return this.#connections.get(socket) ?? this.#connections.get(plainOf(socket));
  }

  #connected(socket: Socket): void {
    this.#connections.set(socket, { answer: undefined, hasNext: false });
    socket.on('close', () => this.#connections.delete(socket));
    // The listener of HTTP may not be there yet, or no longer.
    socket.on('error', () => {});
    if (this.#connections.size <= this.#most) return;
    // The oldest that waits for nothing: half-open clients must not keep others out.
    for (const [other, { answer }] of this.#connections) {
      if (answer) continue;
      this.#hooks.refused('connections', other.remoteAddress);
      other.destroy();
      this.#connections.delete(other);
      return;
    }
  }

  #malformed(error: NodeJS.ErrnoException, socket: Socket): void {
    const timedOut =
      error.code === 'ERR_HTTP_REQUEST_TIMEOUT' || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT';
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') {
      this.#hooks.refused(timedOut ? 'timeout' : 'malformed', socket.remoteAddress);
    }
    // Before the end of a handshake nothing can be written, so destroySoon() would wait for ever.
    if ((socket as TLSSocket & { secureConnecting?: boolean }).secureConnecting) {
      socket.destroy();
      return;
    }
    if (socket.writable) {
      const status =
        error.code === 'HPE_HEADER_OVERFLOW'
          ? '431 Request Header Fields Too Large'
          : timedOut
            ? '408 Request Timeout'
            : '400 Bad Request';
      socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    }
    socket.destroySoon();
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const connection = this.#connectionOf(socket);
    // One request at a time: Node emits no `close` for a response queued behind another when their
    // connection ends, so whatever is counted for it would never be given back. Clients that
    // pipeline send again what was not answered (RFC 9112, 9.3.2).
    const before = connection?.answer;
    if (connection && before?.writableEnded && !connection.hasNext) {
      // It does not pipeline: over TLS, a client may have an answer before it counts as sent here.
      connection.hasNext = true;
      before.on('close', () => {
        connection.hasNext = false;
        // None if the connection ends.
        if (response.socket) this.#request(request, response);
      });
      return;
    }
    if (connection === undefined || before) {
      if (connection) this.#hooks.refused('busy', socket.remoteAddress);
      socket.destroy();
      return;
    }
    connection.answer = response;
    response.on('close', () => {
      connection.answer = undefined;
      this.#hooks.answered(response.statusCode);
    });
    response.on('error', () => {});
    for (const [name, value] of Object.entries(STRICT)) response.setHeader(name, value);
    // A body is not read: the connection cannot be used for another request.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding']) {
      response.shouldKeepAlive = false;
    }
    const refuse = (status: number, why: Refusal, text: string) => {
      this.#hooks.refused(why, socket.remoteAddress);
      sendError(response, status, text);
    };
    const url = urlOf(request.url);
    if (url === undefined) refuse(400, 'malformed', 'invalid request target');
    else if (this.#mayRead(request, response, url, refuse)) {
      try {
        if (!this.#hooks.handle(request, response, url)) refuse(404, 'not-found', 'no such path');
      } catch (error) {
        this.#hooks.failed(error as Error);
        if (response.headersSent) response.destroy();
        else sendError(response, 500, 'internal error');
      }
    }
  }

  #mayRead(
    { method, headers }: IncomingMessage,
    response: ServerResponse,
    { pathname }: URL,
    refuse: (status: number, why: Refusal, text: string) => void,
  ): boolean {
    const { hosts, token } = this.#access;
    if (!isHostAllowed(headers.host, hosts)) {
      const hint = 'the Host header must be an address, localhost, or a name in "hosts"';
      refuse(421, 'host', `${hint} of the configuration`);
      return false;
    }
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      response.shouldKeepAlive = false;
      refuse(405, 'method', 'only GET and HEAD: nothing can be changed here');
      return false;
    }
    if (token && !this.#hooks.isOpen(pathname) && !token.accepts(headers.authorization)) {
      // With `Basic`, browsers would ask for a user and a password before the page can ask for the token.
      response.setHeader('www-authenticate', 'Bearer');
      refuse(401, 'token', 'a token is needed: Authorization: Bearer TOKEN');
      return false;
    }
    return true;
  }
}

/** The path and query of a request; undefined if it is not a path. */
function urlOf(target: string | undefined): URL | undefined {
  if (!target?.startsWith('/') || target.length > 8192) return undefined;
  try {
    // A path may begin with two slashes, which would be a host.
    return new URL(`http://localhost${target}`);
  } catch {
    return undefined;
  }
}

const plainOf = (socket: Socket): Socket =>
  (socket as Socket & { _parent?: Socket })._parent ?? socket;

/** Answers with an error, as JSON. */
export function sendError(response: ServerResponse, status: number, error: string): void {
  sendText(response, status, 'application/json', `${JSON.stringify({ error })}\n`);
}

/** Answers with a text. */
export function sendText(
  response: ServerResponse,
  status: number,
  type: string,
  text: string | Uint8Array,
): void {
  const body = typeof text === 'string' ? Buffer.from(text) : text;
  response.writeHead(status, { 'content-type': type, 'content-length': body.length });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
