/** The daemon's HTTP: what hostile and broken clients can do, which is nothing to others. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { Agent, get, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Token } from '../../lib/serve/access.ts';
import { readCredentials } from '../../lib/serve/certificate.ts';
import { DEFAULTS } from '../../lib/serve/config.ts';
import { EventLog, type Wanted } from '../../lib/serve/event-log.ts';
import { EventStreams } from '../../lib/serve/event-streams.ts';
import { HttpServer, type Refusal, sendText } from '../../lib/serve/http-server.ts';
import { LifeCycle } from '../../lib/serve/life-cycle.ts';
import { acceptsGzip, sendPieces } from '../../lib/serve/pieces.ts';
import { Routes } from '../../lib/serve/routes.ts';
import { Service } from '../../lib/serve/service.ts';
import { TunnelFilter } from '../../lib/tunnel/tunnel-filter.ts';

const TOKEN = 'a-token-of-20-letters';
const MOST = 16;

const refusals: Refusal[] = [];
const failures: string[] = [];
const log = new EventLog(Date.now());
const streams = new EventStreams(log, (why) => refusals.push(why));
const wanted: Wanted = {
  kinds: new Set(['state']),
  netns: undefined,
  tunnels: new TunnelFilter([], 'changes'),
};
const token = new Token(TOKEN);
const access = { hosts: new Set<string>(), token: undefined as Token | undefined, tls: undefined };
/** Tells of requests of `/late`, which are not answered. */
const late = new EventEmitter();
/** Called for each line of `/long`. */
let between: (response: ServerResponse) => void = () => {};
const server = new HttpServer(access, MOST, {
  handle(request, response, { pathname }) {
    if (pathname === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      request.socket.setTimeout(0);
      streams.add(response, wanted, undefined);
    } else if (pathname === '/long') {
      const lines = function* () {
        for (let i = 0; i < 1000; i++) {
          between(response);
          yield `${'x'.repeat(1023)}\n`;
        }
      };
      const gzip = acceptsGzip(request.headers['accept-encoding'] as string | undefined);
      sendPieces(response, 'text/plain', lines(), gzip, (why) => refusals.push(why)).catch(
        ({ message }) => failures.push(message),
      );
    } else if (pathname === '/endless') {
      const lines = function* () {
        for (;;) yield `${'x'.repeat(1023)}\n`;
      };
      sendPieces(response, 'text/plain', lines(), false, (why) => refusals.push(why)).catch(
        ({ message }) => failures.push(message),
      );
    } else if (pathname === '/late') late.emit('asked', response);
    else if (pathname === '/throws') throw new Error('of a test');
    else if (pathname !== '/') return false;
    else sendText(response, 200, 'text/plain', 'hello\n');
    return true;
  },
  isOpen: (path) => path === '/healthz',
  refused: (why) => refusals.push(why),
  answered: () => {},
  failed: ({ message }) => failures.push(message),
});
const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
after(async () => {
  streams.close();
  await server.close();
});
beforeEach(() => {
  refusals.length = 0;
  failures.length = 0;
  server.access = access;
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A request of its own connection. */
async function ask(path: string, options: Parameters<typeof request>[1] = {}): Promise<Answer> {
  const asked = request({ host: '127.0.0.1', port, path, agent: false, ...(options as object) });
  asked.end();
  const [response] = await once(asked, 'response');
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  const { statusCode: status, headers } = response;
  return { status, headers, text: Buffer.concat(parts).toString('latin1') };
}

/** A connection, and all that it receives until it ends. */
function raw(text = '', to = port): { socket: Socket; received: Promise<string> } {
  const socket = connect({ host: '127.0.0.1', port: to });
  socket.on('error', () => {});
  if (text !== '') socket.write(text);
  let all = '';
  socket.setEncoding('latin1').on('data', (part) => {
    all += part;
  });
  return { socket, received: once(socket, 'close').then(() => all) };
}

test('every answer has the strict headers', async () => {
  for (const path of ['/', '/none', '/long', '/throws']) {
    const { headers } = await ask(path);
    assert.match(
      String(headers['content-security-policy']),
      /^default-src 'none'; script-src 'self';/,
    );
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-frame-options'], 'DENY');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['access-control-allow-origin'], undefined);
    assert.equal(headers['x-powered-by'] ?? headers.server, undefined);
  }
  assert.deepEqual(failures, ['of a test']);
});

test('only GET and HEAD', async () => {
  assert.equal((await ask('/')).text, 'hello\n');
  const head = await ask('/', { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '6', '']);
  assert.equal((await ask('/long', { method: 'HEAD' })).text, '');
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
    const { status, headers } = await ask('/', { method });
    assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'], method);
  }
  assert.equal(refusals.filter((why) => why === 'method').length, 6);
});

test('a foreign Host is rejected, before the token is checked', async () => {
  server.access = { ...access, token };
  for (const host of ['evil.example', 'evil.example:9786']) {
    assert.equal((await ask('/', { headers: { host } })).status, 421, host);
  }
  for (const text of [
    'GET / HTTP/1.0\r\n\r\n',
    'GET / HTTP/1.1\r\nhost:\r\nconnection: close\r\n\r\n',
  ]) {
    assert.match(await raw(text).received, /^HTTP\/1\.1 421 /);
  }
  assert.deepEqual([...new Set(refusals)], ['host']);
});

test('without the token only public paths are served', async () => {
  server.access = { ...access, token };
  const { status, headers, text } = await ask('/');
  assert.deepEqual([status, headers['www-authenticate']], [401, 'Bearer']);
  assert(!text.includes(TOKEN));
  assert.equal((await ask('/', { headers: { authorization: 'Bearer wrong' } })).status, 401);
  assert.equal((await ask('/none')).status, 401);
  // Open, if there is such a path.
  assert.equal((await ask('/healthz')).status, 404);
  const right = await ask('/', { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.equal(right.text, 'hello\n');
  assert.equal(refusals.filter((why) => why === 'token').length, 3);
});

test('input that is not HTTP is rejected', async () => {
  for (const [text, expected] of [
    ['nonsense\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^HTTP\/1\.1 400 /],
    [
      `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`,
      /^(HTTP\/1\.1 431 .*|)$/s,
    ],
    [`GET /${'x'.repeat(100_000)} HTTP/1.1\r\n`, /^(HTTP\/1\.1 431 .*|)$/s],
    [
      'GET http://127.0.0.1/ HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'GET //evil.example/ HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n',
      /^HTTP\/1\.1 404 /,
    ],
    ['CONNECT evil.example:443 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n', /^$/],
  ] as const) {
    assert.match(await raw(text).received, expected, text.slice(0, 40));
  }
  assert.equal((await ask('/')).status, 200);
});

test('a request with a body is answered normally, and its connection closed', async () => {
  const { received } = raw(
    'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000000\r\n\r\nGET /none HTTP/1.1\r\n',
  );
  const text = await received;
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1);
});

test('silent clients do not block others', async () => {
  const silent = Array.from({ length: 3 * MOST }, () => raw());
  await Promise.all(silent.map(({ socket }) => once(socket, 'connect')));
  const { status } = await ask('/');
  assert.equal(status, 200);
  assert(server.connections <= MOST);
  assert(refusals.filter((why) => why === 'connections').length >= MOST);
  for (const { socket } of silent) socket.destroy();
  await Promise.all(silent.map(({ received }) => received));
});

test('a request that arrives byte by byte is eventually cut off', {
  timeout: 60_000,
}, async () => {
  const { socket, received } = raw('GET / HTTP/1.1\r\n');
  const more = setInterval(() => socket.write('x'), 500);
  const text = await received;
  clearInterval(more);
  assert.match(text, /^HTTP\/1\.1 408 /);
  assert(refusals.includes('timeout'));
});

test('a client that disconnects midway ends the work for it', async () => {
  for (const headers of [{}, { 'accept-encoding': 'gzip' }]) {
    const asked = get({ host: '127.0.0.1', port, path: '/long', headers, agent: false });
    const [response] = await once(asked, 'response');
    await once(response, 'data');
    response.destroy();
  }
  const { text } = await ask('/long');
  assert.equal(text.length, 1000 * 1024);
  assert.deepEqual(failures, []);
});

test('gzip only if accepted', async () => {
  for (const [header, expected] of [
    [undefined, false],
    ['gzip', true],
    ['deflate, gzip;q=0.5', true],
    ['gzip;q=0', false],
    ['identity', false],
    ['xgzip', false],
  ] as const) {
    assert.equal(acceptsGzip(header), expected, header);
  }
  const { headers, text } = await ask('/long', { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(headers['content-encoding'], 'gzip');
  assert(text.length < 10_000);
});

/** The blocks of a stream as they come. */
async function* blocksOf(response: AsyncIterable<string>): AsyncGenerator<string, undefined> {
  let text = '';
  for await (const part of response) {
    text += part;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield text.slice(0, end);
      text = text.slice(end + 2);
    }
  }
}

const change = (at: number) => ({
  kind: 'state' as const,
  watch: { netns: null, state: 'synced' as const, reason: undefined, at },
});

test('a stream receives new events, and a slow one is notified of a gap', async () => {
  const agent = new Agent({ keepAlive: false });
  const asked = get({ host: '127.0.0.1', port, path: '/events', agent });
  const [response] = await once(asked, 'response');
  const blocks = blocksOf(response.setEncoding('utf8'));
  assert.match((await blocks.next()).value ?? '', /: connected/);
  log.add(null, change(1));
  const first = (await blocks.next()).value ?? '';
  assert.match(first, /^id: \d+\nevent: state\ndata: \{"netns":null,"state":"synced","at":1\}$/);
  // More than the log keeps, in one turn.
  for (let i = 0; i < 10_000; i++) log.add(null, change(i));
  assert.match((await blocks.next()).value ?? '', /^id: \d+\nevent: gap\ndata: \{\}$/);
  log.add(null, change(7));
  assert.match((await blocks.next()).value ?? '', /"at":7/);
  response.destroy();
});

test('a resumed stream continues after its last event, or is notified of the gap', async () => {
  const own = new EventLog(Date.now());
  const kinds = new Set(['state'] as const);
  own.add(null, change(1));
  const seen = own.last;
  own.add(null, change(2));
  assert.equal(own.isGone(seen, kinds), false);
  assert.equal(own.after(seen, kinds)?.id, seen + 1);
  assert.equal(own.after(own.last, kinds), undefined);
  // Of another process, or invented.
  assert(own.isGone(5, kinds));
  assert(own.isGone(own.last + 1, kinds));
  for (let i = 0; i < 5000; i++) own.add(null, change(i));
  assert(own.isGone(seen, kinds));
  // Numbers of a process that starts later are higher.
  assert(new EventLog(Date.now() + 10).last > own.last);
});

test('an answer that is read too slowly is cut off, one that is made slowly is not', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  between = ({ socket }) => {
    t.mock.timers.tick(1000);
    // Nor if nothing is written meanwhile.
    assert.equal(socket?.timeout, 0);
  };
  const slow = await ask('/long');
  between = () => {};
  assert.equal(slow.text.length, 1024_000);
  assert.deepEqual(refusals, []);
  const { socket, received } = raw('GET /endless HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
  await once(socket, 'data');
  socket.pause();
  while (refusals.length === 0) {
    t.mock.timers.tick(10_000);
    await turn();
  }
  socket.resume();
  await received;
  assert.deepEqual([refusals, failures], [['slow-reader'], []]);
});

test('pipelined requests leave nothing behind when their connection ends', async (t) => {
  const many = function* () {
    for (let i = 0; i < 100_000; i++) yield { labels: { code: String(i) }, value: i };
  };
  const service = new Service(DEFAULTS, new LifeCycle());
  const refused: Refusal[] = [];
  const routes = new Routes(
    service,
    '0',
    (name) => (name === 'xfrm_serve_requests' ? many() : []),
    (why) => refused.push(why),
  );
  const own = new HttpServer(access, MOST, {
    handle: (...args) => routes.handle(...args),
    isOpen: () => false,
    refused: (why) => refused.push(why),
    answered: () => {},
    failed: ({ message }) => failures.push(message),
  });
  const { port: to } = await own.listen({ host: '127.0.0.1', port: 0 });
  t.after(async () => {
    routes.streams.close();
    await own.close();
  });
  for (const [path, count] of [
    ['/metrics', 16],
    ['/api/events', 128],
  ] as const) {
    const one = `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`;
    const { socket, received } = raw(one.repeat(count), to);
    await Promise.race([once(socket, 'data'), received]);
    socket.destroy();
    await received;
  }
  const statuses = async () => {
    const all = await Promise.all(
      Array.from({ length: 8 }, () => ask('/metrics', { port: to } as object)),
    );
    return all.map(({ status }) => status);
  };
  assert.deepEqual(await statuses(), Array(8).fill(200));
  assert.equal(routes.streams.size, 0);
  assert.deepEqual([...new Set(refused)], ['busy']);
  // One after the other on one connection, all are answered.
  refused.length = 0;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  for (let i = 0; i < 50; i++) {
    const asked = get({
      host: '127.0.0.1',
      port: to,
      path: i % 10 ? '/healthz' : '/metrics',
      agent,
    });
    const [response] = await once(asked, 'response');
    sockets.add(asked.socket);
    for await (const _ of response);
    assert.equal(response.statusCode, 200);
  }
  assert.deepEqual([sockets.size, refused, failures], [1, [], []]);
  agent.destroy();
});

test('a client that left before its answer began is not a slow reader', async () => {
  const { socket } = raw('GET /late HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
  const [response] = (await once(late, 'asked')) as [ServerResponse];
  socket.destroy();
  await once(response, 'close');
  const pieces = function* () {
    assert.fail('made for nobody');
    yield '';
  };
  await sendPieces(response, 'text/plain', pieces(), false, (why) => refusals.push(why));
  assert.deepEqual(refusals, []);
});

test('a request that comes when the answer before it was written, but not sent, waits for that', async () => {
  const one = 'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n';
  const last = one.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n');
  const count = async (text: string) => (await raw(text).received).match(/hello/g)?.length ?? 0;
  assert.equal(await count(one + last), 2);
  assert.deepEqual(refusals, []);
  // More than one is pipelining.
  await count(one.repeat(3));
  assert.deepEqual(refusals, ['busy']);
  assert.equal((await ask('/')).status, 200);
  assert.deepEqual(failures, []);
});

test('a client that only opens a connection to a TLS port is cut off', {
  timeout: 60_000,
}, async (t) => {
  const tls = join(import.meta.dirname, '../../../test/fixtures/tls');
  const files = { cert: join(tls, 'cert.pem'), key: join(tls, 'key.pem') };
  const told: Refusal[] = [];
  const own = new HttpServer({ ...access, tls: readCredentials(files) }, MOST, {
    handle: () => false,
    isOpen: () => false,
    refused: (why) => told.push(why),
    answered: () => {},
    failed: ({ message }) => failures.push(message),
  });
  const { port: to } = await own.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => own.close());
  assert.equal(await raw('', to).received, '');
  assert.deepEqual(told, ['timeout']);
  // The client may see the end of the connection first.
  while (own.connections > 0) await turn();
});
