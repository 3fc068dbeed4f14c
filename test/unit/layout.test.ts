/** The tables of lib/ against the kernel's headers on this machine; test/all asks the newest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkConstants, checkRawStructs, checkStructs } from './layout.ts';

test("messages that stay raw have the kernel's structs", () => checkRawStructs());

test('every struct has the size and the offsets of the kernel’s', () => {
  const lacking = checkStructs();
  // What came with later kernels than the oldest header this is built with.
  assert.deepEqual(
    lacking.filter((name) => name !== 'xfrm_user_migrate_state'),
    [],
  );
});

test('every constant has the value of the kernel’s', () => {
  // What an older header lacks must be few; with the newest, none is left.
  const newer =
    /IPTFS|SA_DIR|DPLL_A_PIN|SA_PCPU|NAT_KEEPALIVE|MIGRATE_STATE|CPU_ACQUIRE|_MCADDR|_ACADDR|RTM_(NEW|DEL)(ANY|MULTI)CAST|NLM_F_BULK|OFFLOAD_PACKET|FRA_(DSCP|FLOWLABEL|[SD]PORT_MASK)|IFA_MC_USERS|IFLA_BRPORT_(BACKUP_NHID|MAB|MCAST_(N|MAX)_GROUPS|NEIGH_(FORWARD|VLAN))|IFLA_BR_(FDB_|STP_MODE)|IFLA_(DEVLINK|DPLL|G[RS]O_IPV4|HEADROOM|TAILROOM|MAX_PACING|NETNS_IMM)|NHA_(GROUP_STATS|HW_STATS|OP_FLAGS)|NTF_EXT_(EXT_VALIDATED|LOCKED)|RTA_(DEL_REASON|FLOWLABEL)/;
  assert.deepEqual(
    checkConstants().filter((name) => !newer.test(name)),
    [],
  );
});
