// Generic netlink: lists the families that this kernel has, or resolves a name to a family and its multicast groups.
//   node examples/generic-netlink.mjs [NAME]
import { NETLINK_GENERIC } from 'netlink-xfrm/constants';
import { NetlinkConnection } from 'netlink-xfrm/socket';

// linux/genetlink.h
const [GENL_ID_CTRL, CTRL_CMD_GETFAMILY] = [16, 3];
const [FAMILY_ID, FAMILY_NAME, MCAST_GROUPS, GROUP_NAME, GROUP_ID] = [1, 2, 7, 1, 2];
const request = {
  type: GENL_ID_CTRL,
  header: Uint8Array.of(CTRL_CMD_GETFAMILY, 1, 0, 0), // struct genlmsghdr
  name: 'CTRL_CMD_GETFAMILY',
};

/** @param {import('netlink-xfrm/socket').NetlinkMessage} message */
function print(message) {
  const family = message.attributes(4);
  const groups = family.get(MCAST_GROUPS)?.nest();
  const shown = [...(groups ?? [])]
    .map((group) => group.nest())
    .map((one) => `${one.get(GROUP_NAME).string()}=${one.get(GROUP_ID).u32()}`);
  console.log(family.get(FAMILY_ID).u16(), family.get(FAMILY_NAME).string(), ...shown);
}

const [name] = process.argv.slice(2);
const generic = new NetlinkConnection(NETLINK_GENERIC);
const { items } =
  name === undefined
    ? await generic.dump(request)
    : await generic
        .request({ ...request, attributes: (write) => write.string(FAMILY_NAME, name) })
        .then(({ replies }) => ({ items: replies }));
for (const message of items) print(message);
await generic.close();
