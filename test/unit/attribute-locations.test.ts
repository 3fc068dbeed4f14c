/** Which attribute a refusal is about, by the offset the kernel tells, against what the encoder wrote. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributeAt, locateAttributes } from '../../lib/netlink/attribute-locations.ts';
import { refusal, writeRequest } from '../../lib/netlink/request.ts';
import { link as linkBody, route as routeBody } from '../../lib/route/bodies.ts';
import { encodeRoute, type RouteInput } from '../../lib/route/encode.ts';
import { align4 } from '../../lib/wire/attribute.ts';
import { MessageWriter } from '../../lib/wire/message-writer.ts';

/** Each attribute of a request as its path and its four bytes of header. */
function written(message: RouteInput, { header, table }: typeof linkBody | typeof routeBody) {
  const writer = new MessageWriter();
  encodeRoute(writer, message);
  const { view, length } = writer;
  return locateAttributes(view, 16 + align4(header.size), length, table).map(
    ({ offset, path }) => ({
      path: path.join(' '),
      type: view.getUint16(offset + 2, true) & 0x3fff,
      offset,
    }),
  );
}

test('attributes are found in nests, and in nests whose type depends on another attribute', () => {
  const link = {
    name: 'v0',
    info: { kind: 'vlan', vlan: { id: 7, egressQos: { mappings: [{ from: 1, to: 2 }] } } },
  };
  const all = written({ kind: 'request', message: 'NEWLINK', link } as RouteInput, linkBody);
  assert.deepEqual(
    all.map(({ path, type }) => [path, type]),
    [
      ['IFLA_IFNAME', 3],
      ['IFLA_LINKINFO', 18],
      ['IFLA_LINKINFO IFLA_INFO_KIND', 1],
      ['IFLA_LINKINFO IFLA_INFO_DATA', 2],
      ['IFLA_LINKINFO IFLA_INFO_DATA IFLA_VLAN_ID', 1],
      ['IFLA_LINKINFO IFLA_INFO_DATA IFLA_VLAN_EGRESS_QOS', 3],
      ['IFLA_LINKINFO IFLA_INFO_DATA IFLA_VLAN_EGRESS_QOS IFLA_VLAN_QOS_MAPPING', 1],
    ],
  );
});

test('attributes are found behind the struct of a nest, and in records', () => {
  const link = { info: { kind: 'veth', veth: { peer: { name: 'v1', mtu: 1400 } } } };
  const nest = written({ kind: 'request', message: 'NEWLINK', link } as RouteInput, linkBody);
  assert.deepEqual(
    nest.slice(-2).map(({ path, type }) => [path, type]),
    [
      ['IFLA_LINKINFO IFLA_INFO_DATA VETH_INFO_PEER IFLA_IFNAME', 3],
      ['IFLA_LINKINFO IFLA_INFO_DATA VETH_INFO_PEER IFLA_MTU', 4],
    ],
  );
  const route = { family: 'inet', nexthops: [{ gateway: '192.0.2.1' }, { gateway: '192.0.2.2' }] };
  const records = written({ kind: 'request', message: 'NEWROUTE', route } as RouteInput, routeBody);
  assert.deepEqual(
    records.map(({ path }) => path),
    [
      'RTA_MULTIPATH',
      'RTA_MULTIPATH [0]',
      'RTA_MULTIPATH [0] RTA_GATEWAY',
      'RTA_MULTIPATH [1]',
      'RTA_MULTIPATH [1] RTA_GATEWAY',
    ],
  );
});

test('an error names the innermost attribute, its path, and a missing nested attribute', () => {
  const link = { info: { kind: 'vlan', vlan: { id: 7 } } };
  const message = { kind: 'request', message: 'NEWLINK', link } as RouteInput;
  const request = {
    name: 'RTM_NEWLINK',
    fixed: 16,
    attributes: linkBody.table,
    write: (writer: MessageWriter) => encodeRoute(writer, message),
  };
  const sent = writeRequest(new MessageWriter(), request, 1);
  const offset = sent.places.at(-1)?.offset as number;
  const refused = refusal(sent, { errno: 34, offset, message: 'out of range' });
  assert.equal(refused.attribute, 'IFLA_VLAN_ID');
  assert.deepEqual(refused.path, ['IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_VLAN_ID']);
  assert.match(
    refused.message,
    /^RTM_NEWLINK ERANGE: out of range, at IFLA_LINKINFO › IFLA_INFO_DATA › IFLA_VLAN_ID/,
  );
  // The nest of number 2 in the link's information lacks its attribute 1.
  const nest = sent.places.at(-2)?.offset as number;
  const lacks = refusal(sent, { errno: 22, missingNest: nest, missingType: 1 });
  assert.deepEqual([lacks.attribute, lacks.missing], ['IFLA_INFO_DATA', 'IFLA_VLAN_ID']);
  const whole = refusal(sent, { errno: 22, missingType: 3 });
  assert.deepEqual([whole.path, whole.missing], [undefined, 'IFLA_IFNAME']);
  assert.equal(attributeAt(sent.places, 8), undefined, 'the header is no attribute');
});

test('malformed raw bytes end the search, not the request', () => {
  const bytes = Uint8Array.of(8, 0, 1, 0, 1, 2, 3, 4, 200, 0, 2, 0);
  const link = { unknown: [{ type: 18, flags: 0, bytes }] };
  const all = written({ kind: 'request', message: 'NEWLINK', link } as RouteInput, linkBody);
  assert.deepEqual(
    all.map(({ path }) => path),
    ['IFLA_LINKINFO', 'IFLA_LINKINFO IFLA_INFO_KIND'],
  );
});
