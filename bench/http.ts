/** Requests to the daemons of the benchmark. @module */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';

/** An answer that was read to its end. */
export interface Answer {
  readonly status: number;
  /** Milliseconds from the request to the last byte. */
  readonly ms: number;
  readonly bytes: number;
}

/** Asks on a connection of its own. */
export async function request(port: number, path: string, headers = {}): Promise<Answer> {
  const begun = performance.now();
  const asked = get({ host: '127.0.0.1', port, path, headers, agent: false });
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let bytes = 0;
  for await (const part of response) bytes += part.length;
  return { status: response.statusCode ?? 0, ms: performance.now() - begun, bytes };
}

/** The same. @throws an Error for any status but 200 */
export async function answer(port: number, path: string, headers = {}): Promise<Answer> {
  const found = await request(port, path, headers);
  if (found.status !== 200) throw new Error(`${path} answered ${found.status}`);
  return found;
}
