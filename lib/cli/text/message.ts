/**
 * Any message as a line of text: events, and those that are found only in recordings, requests and
 * answers.
 * @module
 */
import type { SubscriptionEvent } from '../../monitor/subscribe.ts';
import type { RouteMessage } from '../../route/requests.ts';
import type { OpaqueBytes } from '../../wire/opaque.ts';
import type { XfrmEvent } from '../../xfrm/events.ts';
import type { XfrmMessage, XfrmRequest } from '../../xfrm/requests.ts';
import { formatSpi } from '../../xfrm/text.ts';
import type { PolicyId, StateId } from '../../xfrm/types.ts';
import type { Colors } from '../terminal/colors.ts';
import {
  describeEvent,
  describeSelector,
  describeState,
  formatEvent,
  formatLine,
  type LineAdditions,
} from './event.ts';
import { describeRouteRequest } from './route.ts';

/** One line for a message, without line break. */
export function formatMessage(
  message: SubscriptionEvent | XfrmMessage | RouteMessage,
  colors: Colors,
  additions: LineAdditions = {},
): string {
  switch (message.kind) {
    case 'request': {
      const said =
        message.protocol === 'route'
          ? describeRouteRequest(message, colors)
          : describeRequest(message, colors);
      const text = `${message.message} ${said}`.trimEnd();
      return formatLine(message, colors.dim('request'.padEnd(9)), text, colors);
    }
    case 'NEWSADINFO': {
      const { count = 0, hash } = message.sad;
      const buckets = hash ? `, ${hash.buckets} of ${hash.maxBuckets} buckets` : '';
      return formatLine(message, 'NEWSADINFO', `${count} SAs${buckets}`, colors);
    }
    case 'NEWSPDINFO': {
      const { counts } = message.spd;
      const text = counts ? `policies: in ${counts.in} out ${counts.out} fwd ${counts.fwd}` : '';
      return formatLine(message, 'NEWSPDINFO', text, colors);
    }
    default:
      return formatEvent(message, colors, additions);
  }
}

const nameState = ({ daddr, proto, spi }: StateId) => `${daddr} ${proto} ${formatSpi(spi)}`;

const namePolicy = ({ index, dir, selector }: PolicyId) =>
  index === 0 ? `${dir} ${describeSelector(selector)}` : `${dir} index ${index}`;

const all = (ignored: OpaqueBytes | undefined) =>
  ignored === undefined ? 'all' : `all (ignored: ${ignored.length} bytes)`;

function describeRequest(request: XfrmRequest, colors: Colors): string {
  switch (request.message) {
    case 'DELSA':
      return nameState(request.id);
    case 'GETSA':
      return request.id ? nameState(request.id) : all(request.ignored);
    case 'DELPOLICY':
      return namePolicy(request.id);
    case 'GETPOLICY':
      return request.id ? namePolicy(request.id) : all(request.ignored);
    case 'ALLOCSPI': {
      const { min, max, saddr, daddr, proto } = request.allocation;
      return `${saddr} > ${daddr} ${proto} from ${formatSpi(min)} to ${formatSpi(max)}`;
    }
    case 'EXPIRE':
      return `${request.hard ? 'hard' : 'soft'} ${describeState(request.state, colors)}`;
    case 'GETAE': {
      const { daddr, proto, spi } = request.aevent;
      return `${daddr} ${proto} ${formatSpi(spi)}`;
    }
    case 'GETSADINFO':
    case 'GETSPDINFO':
    case 'NEWSPDINFO':
    case 'GETDEFAULT':
      return '';
    case 'SETDEFAULT': {
      const { in: inbound, fwd, out } = request.defaults;
      return `in ${inbound} fwd ${fwd} out ${out}`;
    }
    default: {
      // These look like the event that they cause.
      const { message, ...rest } = request;
      return describeEvent({ ...rest, kind: message } as XfrmEvent, colors);
    }
  }
}
