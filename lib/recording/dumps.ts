/** The dumps of a snapshot, undecoded. @module */
import { type ClientOptions, Connection } from '../netlink/connection.ts';
import { NETLINK_ROUTE, NETLINK_XFRM } from '../netlink/constants.ts';
import type { DecodeMessage } from '../netlink/event.ts';
import type { Request } from '../netlink/request.ts';
import { RT_TABLE_LOCAL } from '../route/constants.ts';
import { rtnetlink } from '../route/load.ts';
import { SystemError } from '../socket/index.ts';
import { encodeXfrm } from '../xfrm/encode.ts';
import { bodyOf } from '../xfrm/messages.ts';
import type { XfrmRequest } from '../xfrm/requests.ts';
import type { RecordedProtocol } from './records.ts';

/** Takes one message of a dump: its bytes, in memory that is reused. */
export type TakeDumped = (bytes: Uint8Array, at: number, length: number) => void;

/** Dumps everything of a protocol that a recording needs. */
export interface Dumps {
  /**
   * @returns a promise that is fulfilled when the events of all changes visible in the dumps are
   *   queued; with false if something may be missing
   */
  dump(take: TakeDumped): Promise<boolean>;
  close(): Promise<void>;
}

/** Interrupted dumps before one is accepted, as for live tables (lib/tunnel/addresses.ts). */
const ATTEMPTS = 5;

/** Reads each message, and keeps nothing of it. */
const taking =
  (take: TakeDumped): DecodeMessage<true> =>
  ({ bytes }, at, length) => {
    take(bytes, at, length);
    return true;
  };

async function dumpAll(connection: Connection, request: Request, take: TakeDumped) {
  const pieces = connection.dumpBatches(request, taking(take));
  for (;;) {
    const { done, value } = await pieces.next();
    if (done) return !value.interrupted;
  }
}

/** SAs, policies and what becomes of packets without a policy, as XfrmMonitor dumps them. */
function xfrmDumps(where: ClientOptions): Dumps {
  const connection = new Connection(NETLINK_XFRM, where);
  return {
    async dump(take) {
      await dumpAll(connection, xfrmRequest('GETSA', {}), take);
      await dumpAll(connection, xfrmRequest('GETPOLICY', {}), take);
      const defaults = xfrmRequest('GETDEFAULT', { defaults: {} });
      await connection.request(defaults, taking(take)).catch((error) => {
        // Unknown before Linux 5.15.
        if (!(error instanceof SystemError) || error.code !== 'EINVAL') throw error;
      });
      // Requests are serialised (net/xfrm/xfrm_user.c, xfrm_cfg_mutex): when this one is answered,
      // the events of all changes visible in the dumps have been queued.
      await connection.request(xfrmRequest('GETSADINFO', { flags: 0xffff_ffff }), () => true);
      return true;
    },
    close: () => connection.close(),
  };
}

function xfrmRequest(message: string, more: object): Request {
  const about = { kind: 'request', message, ...more } as unknown as XfrmRequest;
  const body = bodyOf(about);
  if (body === undefined) throw new TypeError(`no request ${message}`);
  return {
    name: `XFRM_MSG_${message}`,
    fixed: body.size,
    attributes: body.table,
    write: (writer, header) => encodeXfrm(writer, { ...about, header } as never),
  };
}

/** Links, addresses and local routes. */
function routeDumps(where: ClientOptions): Dumps {
  const connection = new Connection(NETLINK_ROUTE, where, ['strictCheck']);
  let interrupted = 0;
  return {
    async dump(take) {
      const { requestOf, link, address, route } = await rtnetlink();
      const requests = [
        link.listLinks({}),
        address.listAddresses({}),
        route.listRoutes({ table: RT_TABLE_LOCAL, type: 'local' }),
      ];
      let complete = true;
      for (const one of requests) {
        complete = (await dumpAll(connection, requestOf(one as never), take)) && complete;
      }
      interrupted = complete ? 0 : (interrupted + 1) % ATTEMPTS;
      return interrupted === 0;
    },
    close: () => connection.close(),
  };
}

export const DUMPS: Readonly<Record<RecordedProtocol, (where: ClientOptions) => Dumps>> = {
  xfrm: xfrmDumps,
  route: routeDumps,
};
