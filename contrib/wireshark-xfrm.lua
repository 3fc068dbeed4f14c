-- Shows the XFRM messages of a capture of netlink by name, in Wireshark and tshark (4.0 and newer).
-- Copy it into Wireshark's plugin folder (Help, About, Folders: Personal Lua Plugins), or:
--   tshark -X lua_script:wireshark-xfrm.lua -r capture.pcapng
-- Filters: xfrm.message == "NEWSA", xfrm.id.spi == 0x1001, xfrm.usersa_info.reqid == 7
-- Generated from the tables of netlink-xfrm by `npm run generate`.

local NAMES = {
  XfrmFamily = {[0] = "unspec", [2] = "inet", [10] = "inet6"},
  IpsecProto = {[0] = "any", [43] = "routing", [50] = "esp", [51] = "ah", [60] = "dstopts", [108] = "comp"},
  XfrmMode = {[0] = "transport", [1] = "tunnel", [2] = "route-optimization", [3] = "in-trigger", [4] = "beet", [5] = "iptfs"},
  StateFlags = {{1, "noecn"}, {2, "decap-dscp"}, {4, "nopmtudisc"}, {8, "wildrecv"}, {16, "icmp"}, {32, "af-unspec"}, {64, "align4"}, {128, "esn"}},
  PolicyDir = {[0] = "in", [1] = "out", [2] = "fwd"},
  PolicyAction = {[0] = "allow", [1] = "block"},
  PolicyFlags = {{1, "localok"}, {2, "icmp"}, {4, "cpu-acquire"}},
  PolicyShare = {[0] = "any", [1] = "session", [2] = "user", [3] = "unique"},
  AeventFlags = {{1, "replay-threshold"}, {2, "replay-value"}, {4, "lifetime-value"}, {8, "timer-threshold"}, {16, "replay-update"}, {32, "timer-expired"}, {64, "policy-updated"}},
  PolicyDefault = {[0] = "unspec", [1] = "block", [2] = "accept"},
  MigrateStateFlags = {{1, "clear-offload"}, {2, "update-h2h-sel"}},
  EncapType = {[0] = "none", [1] = "espinudp-nonike", [2] = "espinudp", [7] = "espintcp"},
  PolicyType = {[0] = "main", [1] = "sub", [255] = "any"},
  StateExtraFlags = {{1, "dont-encap-dscp"}, {2, "oseq-may-wrap"}},
  OffloadFlags = {{1, "ipv6"}, {2, "inbound"}, {4, "packet"}},
  StateDir = {[1] = "in", [2] = "out"},
}

local STRUCTS = {
  xfrm_selector = {size = 56, family = 40, around = 40, fields = {{name = "daddr", at = 0, doc = "Destination network.", type = "address", family = 40}, {name = "saddr", at = 16, doc = "Source network.", type = "address", family = 40}, {name = "dport", at = 32, doc = "Destination port; with a type, the ICMP type is the source port and this the code.", type = "be16"}, {name = "dport_mask", at = 34, doc = "Bits of dport that count; 0 for any port.", type = "be16", hex = true}, {name = "sport", at = 36, doc = "Source port.", type = "be16"}, {name = "sport_mask", at = 38, doc = "Bits of sport that count; 0 for any port.", type = "be16", hex = true}, {name = "family", at = 40, doc = "Family of both networks; unspec for any.", type = "u16", names = "XfrmFamily"}, {name = "prefixlen_d", at = 42, doc = "Prefix length of daddr, in bits.", type = "u8"}, {name = "prefixlen_s", at = 43, doc = "Prefix length of saddr, in bits.", type = "u8"}, {name = "proto", at = 44, doc = "IP protocol number; 0 for any.", type = "u8"}, {name = "ifindex", at = 48, doc = "Interface index; 0 for any.", type = "s32"}, {name = "user", at = 52, doc = "User id (__kernel_uid32_t); 0 for any.", type = "u32"}}},
  xfrm_id = {size = 24, family = "outer", around = "outer", fields = {{name = "daddr", at = 0, doc = "Destination address.", type = "address", family = "outer"}, {name = "spi", at = 16, doc = "Security parameters index.", type = "be32", hex = true}, {name = "proto", at = 20, doc = "IPsec protocol.", type = "u8", names = "IpsecProto"}}},
  xfrm_lifetime_cfg = {size = 64, around = "outer", fields = {{name = "soft_byte_limit", at = 0, doc = "Bytes; NO_LIMIT for none.", type = "u64", none = "ones"}, {name = "hard_byte_limit", at = 8, doc = "Bytes; NO_LIMIT for none.", type = "u64", none = "ones"}, {name = "soft_packet_limit", at = 16, doc = "Packets; NO_LIMIT for none.", type = "u64", none = "ones"}, {name = "hard_packet_limit", at = 24, doc = "Packets; NO_LIMIT for none.", type = "u64", none = "ones"}, {name = "soft_add_expires_seconds", at = 32, doc = "Seconds since it was added; NO_LIMIT for none.", type = "u64", unit = "seconds", none = "zero"}, {name = "hard_add_expires_seconds", at = 40, doc = "Seconds since it was added; NO_LIMIT for none.", type = "u64", unit = "seconds", none = "zero"}, {name = "soft_use_expires_seconds", at = 48, doc = "Seconds since its first use; NO_LIMIT for none.", type = "u64", unit = "seconds", none = "zero"}, {name = "hard_use_expires_seconds", at = 56, doc = "Seconds since its first use; NO_LIMIT for none.", type = "u64", unit = "seconds", none = "zero"}}},
  xfrm_lifetime_cur = {size = 32, around = "outer", fields = {{name = "bytes", at = 0, doc = "Bytes carried.", type = "u64"}, {name = "packets", at = 8, doc = "Packets carried.", type = "u64"}, {name = "add_time", at = 16, doc = "When it was added, in ms since 1970 (the kernel has whole seconds).", type = "u64", unit = "moment"}, {name = "use_time", at = 24, doc = "When it was first used, in ms since 1970; undefined for never.", type = "u64", unit = "moment", none = "zero"}}},
  xfrm_stats = {size = 12, around = "outer", fields = {{name = "replay_window", at = 0, doc = "Packets outside the replay window.", type = "u32"}, {name = "replay", at = 4, doc = "Packets seen before.", type = "u32"}, {name = "integrity_failed", at = 8, doc = "Packets whose integrity check failed.", type = "u32"}}},
  xfrm_usersa_info = {size = 224, family = 212, around = 212, fields = {{name = "sel", at = 0, doc = "Which packets it is for.", type = "struct", struct = "xfrm_selector"}, {name = "id", at = 56, type = "struct", struct = "xfrm_id"}, {name = "saddr", at = 80, doc = "Source address.", type = "address", family = 212}, {name = "lft", at = 96, doc = "Its limits.", type = "struct", struct = "xfrm_lifetime_cfg"}, {name = "curlft", at = 160, doc = "Usage so far.", type = "struct", struct = "xfrm_lifetime_cur"}, {name = "stats", at = 192, doc = "Packets that it refused.", type = "struct", struct = "xfrm_stats"}, {name = "seq", at = 204, doc = "The id of the ACQUIRE it answers; 0 for none.", type = "u32"}, {name = "reqid", at = 208, doc = "The id by which policies ask for it; 0 for none.", type = "u32"}, {name = "family", at = 212, doc = "Family of the addresses.", type = "u16", names = "XfrmFamily"}, {name = "mode", at = 214, doc = "Mode.", type = "u8", names = "XfrmMode"}, {name = "replay_window", at = 215, doc = "Size of the replay window in packets; larger ones are in replayEsn.", type = "u8"}, {name = "flags", at = 216, doc = "Flags.", type = "u8", names = "StateFlags", hex = true}}},
  xfrm_usersa_id = {size = 24, family = 20, around = 20, fields = {{name = "daddr", at = 0, doc = "Destination address.", type = "address", family = 20}, {name = "spi", at = 16, doc = "Security parameters index.", type = "be32", hex = true}, {name = "family", at = 20, doc = "Family of the addresses.", type = "u16", names = "XfrmFamily"}, {name = "proto", at = 22, doc = "IPsec protocol.", type = "u8", names = "IpsecProto"}}},
  xfrm_userpolicy_info = {size = 168, around = 40, fields = {{name = "sel", at = 0, doc = "Which packets it is for.", type = "struct", struct = "xfrm_selector"}, {name = "lft", at = 56, doc = "Its limits.", type = "struct", struct = "xfrm_lifetime_cfg"}, {name = "curlft", at = 120, doc = "Usage so far.", type = "struct", struct = "xfrm_lifetime_cur"}, {name = "priority", at = 152, doc = "The lower value takes precedence.", type = "u32"}, {name = "index", at = 156, doc = "The number the kernel gave it; its lowest three bits are the direction.", type = "u32"}, {name = "dir", at = 160, doc = "Direction.", type = "u8", names = "PolicyDir"}, {name = "action", at = 161, doc = "What to do with the packets.", type = "u8", names = "PolicyAction"}, {name = "flags", at = 162, doc = "Flags.", type = "u8", names = "PolicyFlags", hex = true}, {name = "share", at = 163, doc = "Who shares an SA; the kernel always reports any.", type = "u8", names = "PolicyShare"}}},
  xfrm_userpolicy_id = {size = 64, around = 40, fields = {{name = "sel", at = 0, doc = "Selector; all zero when named by index.", type = "struct", struct = "xfrm_selector"}, {name = "index", at = 56, doc = "Index; 0 when named by selector.", type = "u32"}, {name = "dir", at = 60, doc = "Direction.", type = "u8", names = "PolicyDir"}}},
  xfrm_userspi_info = {size = 232, family = 212, around = 212, fields = {{name = "info", at = 0, type = "struct", struct = "xfrm_usersa_info"}, {name = "min", at = 224, doc = "Lowest SPI to choose.", type = "u32"}, {name = "max", at = 228, doc = "Highest SPI to choose.", type = "u32"}}},
  xfrm_user_acquire = {size = 280, family = 80, around = 80, fields = {{name = "id", at = 0, type = "struct", struct = "xfrm_id"}, {name = "saddr", at = 24, doc = "Source address.", type = "address", family = 80}, {name = "sel", at = 40, doc = "The packet.", type = "struct", struct = "xfrm_selector"}, {name = "policy", at = 96, doc = "The policy that asks for it.", type = "struct", struct = "xfrm_userpolicy_info"}, {name = "aalgos", at = 264, doc = "Allowed authentication algorithms, one bit each.", type = "u32"}, {name = "ealgos", at = 268, doc = "Allowed encryption algorithms, one bit each.", type = "u32"}, {name = "calgos", at = 272, doc = "Allowed compression algorithms, one bit each.", type = "u32"}, {name = "seq", at = 276, doc = "Id of this ACQUIRE; the SA that answers it carries it as seq.", type = "u32"}}},
  xfrm_user_expire = {size = 232, around = 212, fields = {{name = "state", at = 0, doc = "The SA.", type = "struct", struct = "xfrm_usersa_info"}, {name = "hard", at = 224, doc = "Whether the limit was a hard one: the SA is gone.", type = "truth"}}},
  xfrm_user_polexpire = {size = 176, around = 40, fields = {{name = "pol", at = 0, doc = "The policy.", type = "struct", struct = "xfrm_userpolicy_info"}, {name = "hard", at = 168, doc = "Whether the limit was a hard one: the policy is gone.", type = "truth"}}},
  xfrm_usersa_flush = {size = 1, around = "outer", fields = {{name = "proto", at = 0, doc = "IPsec protocol; any for all.", type = "u8", names = "IpsecProto"}}},
  xfrm_aevent_id = {size = 48, family = 20, around = 20, fields = {{name = "sa_id", at = 0, type = "struct", struct = "xfrm_usersa_id"}, {name = "saddr", at = 24, doc = "Source address.", type = "address", family = 20}, {name = "flags", at = 40, doc = "What the event concerns.", type = "u32", names = "AeventFlags", hex = true}, {name = "reqid", at = 44, doc = "The id by which policies ask for the SA; 0 for none.", type = "u32"}}},
  xfrm_user_report = {size = 60, around = 44, fields = {{name = "proto", at = 0, doc = "Protocol.", type = "u8", names = "IpsecProto"}, {name = "sel", at = 4, doc = "The packet.", type = "struct", struct = "xfrm_selector"}}},
  xfrm_user_mapping = {size = 64, family = 20, around = 20, fields = {{name = "id", at = 0, type = "struct", struct = "xfrm_usersa_id"}, {name = "reqid", at = 24, doc = "The id by which policies ask for the SA; 0 for none.", type = "u32"}, {name = "old_saddr", at = 28, doc = "Source address so far.", type = "address", family = 20}, {name = "new_saddr", at = 44, doc = "Source address now.", type = "address", family = 20}, {name = "old_sport", at = 60, doc = "Source port so far.", type = "be16"}, {name = "new_sport", at = 62, doc = "Source port now.", type = "be16"}}},
  xfrm_userpolicy_default = {size = 3, around = "outer", fields = {{name = "in", at = 0, doc = "For packets to this host.", type = "u8", names = "PolicyDefault"}, {name = "fwd", at = 1, doc = "For packets passing through.", type = "u8", names = "PolicyDefault"}, {name = "out", at = 2, doc = "For packets from this host.", type = "u8", names = "PolicyDefault"}}},
  xfrm_mark = {size = 8, around = "outer", fields = {{name = "v", at = 0, doc = "Value.", type = "u32", hex = true}, {name = "m", at = 4, doc = "Mask.", type = "u32", hex = true}}},
  xfrm_user_migrate_state = {size = 132, around = 20, fields = {{name = "id", at = 0, doc = "The SA as it was.", type = "struct", struct = "xfrm_usersa_id"}, {name = "new_daddr", at = 24, doc = "Destination from now on.", type = "address", family = 128, only = true}, {name = "new_saddr", at = 40, doc = "Source from now on.", type = "address", family = 128, only = true}, {name = "old_mark", at = 56, doc = "Mark of the SA as it was.", type = "struct", struct = "xfrm_mark"}, {name = "new_sel", at = 64, doc = "Selector from now on.", type = "struct", struct = "xfrm_selector"}, {name = "new_reqid", at = 120, doc = "Reqid from now on.", type = "u32"}, {name = "flags", at = 124, doc = "Its flags.", type = "u32", names = "MigrateStateFlags", hex = true}, {name = "new_family", at = 128, doc = "Family from now on.", type = "u16", names = "XfrmFamily"}, {name = "reserved", at = 130, type = "u16"}}},
  xfrm_algo = {size = 68, around = "outer", fields = {{name = "alg_name", at = 0, doc = "The kernel’s name of it.", type = "name", size = 64}, {name = "alg_key_len", at = 64, doc = "Length of the key in bits.", type = "u32"}, {name = "alg_key", at = 68, doc = "The key; present only where keys were asked for.", type = "key", bits = 64}}},
  xfrm_encap_tmpl = {size = 24, family = "outer", around = "outer", fields = {{name = "encap_type", at = 0, doc = "Kind.", type = "u16", names = "EncapType"}, {name = "encap_sport", at = 2, doc = "Source port.", type = "be16"}, {name = "encap_dport", at = 4, doc = "Destination port.", type = "be16"}, {name = "encap_oa", at = 8, doc = "Original address.", type = "address", family = "outer"}}},
  xfrm_user_tmpl = {size = 64, family = 24, around = 24, fields = {{name = "id", at = 0, type = "struct", struct = "xfrm_id"}, {name = "family", at = 24, doc = "Family of the addresses.", type = "u16", names = "XfrmFamily"}, {name = "saddr", at = 28, doc = "Source address.", type = "address", family = 24}, {name = "reqid", at = 44, doc = "The id the SA must have; 0 for any.", type = "u32"}, {name = "mode", at = 48, doc = "Mode.", type = "u8", names = "XfrmMode"}, {name = "share", at = 49, doc = "Who shares the SA.", type = "u8", names = "PolicyShare"}, {name = "optional", at = 50, doc = "Whether packets may pass without it.", type = "truth"}, {name = "aalgos", at = 52, doc = "Allowed authentication algorithms, one bit each.", type = "u32"}, {name = "ealgos", at = 56, doc = "Allowed encryption algorithms, one bit each.", type = "u32"}, {name = "calgos", at = 60, doc = "Allowed compression algorithms, one bit each.", type = "u32"}}},
  xfrm_user_sec_ctx = {size = 8, around = "outer", fields = {{name = "len", at = 0, type = "u16"}, {name = "exttype", at = 2, doc = "PF_KEY extension type.", type = "u16"}, {name = "ctx_alg", at = 4, doc = "Security module (1 SELinux).", type = "u8"}, {name = "ctx_doi", at = 5, doc = "Domain of interpretation (1 LSM).", type = "u8"}, {name = "ctx_len", at = 6, doc = "Length of the label in bytes, its NUL included.", type = "u16"}, {name = "ctx", at = 8, doc = "The label.", type = "text", length = 6}}},
  xfrm_replay_state = {size = 12, around = "outer", fields = {{name = "oseq", at = 0, doc = "Last number sent.", type = "u32"}, {name = "seq", at = 4, doc = "Highest number received.", type = "u32"}, {name = "bitmap", at = 8, doc = "Which of the last 32 numbers were received.", type = "u32"}}},
  xfrm_userpolicy_type = {size = 6, around = "outer", fields = {{name = "type", at = 0, doc = "Type.", type = "u8", names = "PolicyType"}, {name = "reserved1", at = 2, type = "u16"}, {name = "reserved2", at = 4, type = "u8"}}},
  xfrm_user_migrate = {size = 76, around = "outer", fields = {{name = "old_daddr", at = 0, doc = "Destination so far.", type = "address", family = 72, only = true}, {name = "old_saddr", at = 16, doc = "Source so far.", type = "address", family = 72, only = true}, {name = "new_daddr", at = 32, doc = "Destination from now on.", type = "address", family = 74, only = true}, {name = "new_saddr", at = 48, doc = "Source from now on.", type = "address", family = 74, only = true}, {name = "proto", at = 64, doc = "IPsec protocol.", type = "u8", names = "IpsecProto"}, {name = "mode", at = 65, doc = "Mode.", type = "u8", names = "XfrmMode"}, {name = "reserved", at = 66, type = "u16"}, {name = "reqid", at = 68, doc = "The id by which policies ask for the SA; 0 for none.", type = "u32"}, {name = "old_family", at = 72, doc = "Family so far.", type = "u16", names = "XfrmFamily"}, {name = "new_family", at = 74, doc = "Family from now on.", type = "u16", names = "XfrmFamily"}}},
  xfrm_algo_aead = {size = 72, around = "outer", fields = {{name = "alg_name", at = 0, doc = "The kernel’s name of it.", type = "name", size = 64}, {name = "alg_key_len", at = 64, doc = "Length of the key in bits, salt included.", type = "u32"}, {name = "alg_icv_len", at = 68, doc = "Length of the check value in bits.", type = "u32"}, {name = "alg_key", at = 72, doc = "The key; present only where keys were asked for.", type = "key", bits = 64}}},
  xfrm_user_kmaddress = {size = 40, family = 36, around = 36, fields = {{name = "local", at = 0, doc = "Ours.", type = "address", family = 36}, {name = "remote", at = 16, doc = "The peer’s.", type = "address", family = 36}, {name = "reserved", at = 32, type = "u32"}, {name = "family", at = 36, doc = "Family of both.", type = "u16", names = "XfrmFamily"}}},
  xfrm_algo_auth = {size = 72, around = "outer", fields = {{name = "alg_name", at = 0, doc = "The kernel’s name of it.", type = "name", size = 64}, {name = "alg_key_len", at = 64, doc = "Length of the key in bits.", type = "u32"}, {name = "alg_trunc_len", at = 68, doc = "Length of the check value in the packet, in bits.", type = "u32"}, {name = "alg_key", at = 72, doc = "The key; present only where keys were asked for.", type = "key", bits = 64}}},
  xfrm_replay_state_esn = {size = 24, around = "outer", fields = {{name = "bmp_len", at = 0, type = "u32"}, {name = "oseq", at = 4, doc = "Last number sent, low half.", type = "u32"}, {name = "seq", at = 8, doc = "Highest number received, low half.", type = "u32"}, {name = "oseq_hi", at = 12, doc = "Last number sent, high half.", type = "u32"}, {name = "seq_hi", at = 16, doc = "Highest number received, high half.", type = "u32"}, {name = "replay_window", at = 20, doc = "Size of the replay window in packets.", type = "u32"}, {name = "bmp", at = 24, doc = "Which numbers in the window were received, 32 a word.", type = "words", count = 0}}},
  xfrm_address_filter = {size = 36, family = 32, around = 32, fields = {{name = "saddr", at = 0, doc = "Source network.", type = "address", family = 32}, {name = "daddr", at = 16, doc = "Destination network.", type = "address", family = 32}, {name = "family", at = 32, doc = "Family of both.", type = "u16", names = "XfrmFamily"}, {name = "splen", at = 34, doc = "Prefix length of saddr, in bits.", type = "u8"}, {name = "dplen", at = 35, doc = "Prefix length of daddr, in bits.", type = "u8"}}},
  xfrm_user_offload = {size = 8, around = "outer", fields = {{name = "ifindex", at = 0, doc = "Interface index.", type = "s32"}, {name = "flags", at = 4, doc = "Flags.", type = "u8", names = "OffloadFlags", hex = true}}},
  xfrmu_sadhinfo = {size = 8, around = "outer", fields = {{name = "sadhcnt", at = 0, doc = "Buckets.", type = "u32"}, {name = "sadhmcnt", at = 4, doc = "Most buckets there may be.", type = "u32"}}},
  xfrmu_spdinfo = {size = 24, around = "outer", fields = {{name = "incnt", at = 0, doc = "Inbound.", type = "u32"}, {name = "outcnt", at = 4, doc = "Outbound.", type = "u32"}, {name = "fwdcnt", at = 8, doc = "Forward.", type = "u32"}, {name = "inscnt", at = 12, doc = "Inbound, of sockets.", type = "u32"}, {name = "outscnt", at = 16, doc = "Outbound, of sockets.", type = "u32"}, {name = "fwdscnt", at = 20, doc = "Forward, of sockets.", type = "u32"}}},
  xfrmu_spdhinfo = {size = 8, around = "outer", fields = {{name = "spdhcnt", at = 0, doc = "Buckets.", type = "u32"}, {name = "spdhmcnt", at = 4, doc = "Most buckets there may be.", type = "u32"}}},
  xfrmu_spdhthresh = {size = 2, around = "outer", fields = {{name = "lbits", at = 0, doc = "Of the local network.", type = "u8"}, {name = "rbits", at = 1, doc = "Of the remote network.", type = "u8"}}},
}

local XFRM_ATTRIBUTES = {
  [1] = {name = "XFRMA_ALG_AUTH", doc = "Integrity algorithm (always with authTrunc).", type = "struct", struct = "xfrm_algo"},
  [2] = {name = "XFRMA_ALG_CRYPT", doc = "Encryption algorithm.", type = "struct", struct = "xfrm_algo"},
  [3] = {name = "XFRMA_ALG_COMP", doc = "Compression algorithm.", type = "struct", struct = "xfrm_algo"},
  [4] = {name = "XFRMA_ENCAP", doc = "Encapsulation in UDP or TCP.", type = "struct", struct = "xfrm_encap_tmpl"},
  [5] = {name = "XFRMA_TMPL", doc = "The SAs that the policy asks for, in order.", type = "list", struct = "xfrm_user_tmpl"},
  [6] = {name = "XFRMA_SA", doc = "The SA that was deleted.", type = "struct", struct = "xfrm_usersa_info"},
  [7] = {name = "XFRMA_POLICY", doc = "The policy that was deleted.", type = "struct", struct = "xfrm_userpolicy_info"},
  [8] = {name = "XFRMA_SEC_CTX", doc = "Security label.", type = "struct", struct = "xfrm_user_sec_ctx"},
  [9] = {name = "XFRMA_LTIME_VAL", doc = "Usage so far.", type = "struct", struct = "xfrm_lifetime_cur"},
  [10] = {name = "XFRMA_REPLAY_VAL", doc = "Sequence numbers.", type = "struct", struct = "xfrm_replay_state"},
  [11] = {name = "XFRMA_REPLAY_THRESH", doc = "Packets between two async events.", type = "u32"},
  [12] = {name = "XFRMA_ETIMER_THRESH", doc = "Time between two async events: as reported, in 100 ms; as set, in jiffies.", type = "u32"},
  [13] = {name = "XFRMA_SRCADDR", doc = "Source address, in requests.", type = "address"},
  [14] = {name = "XFRMA_COADDR", doc = "Care-of address (Mobile IPv6).", type = "address"},
  [15] = {name = "XFRMA_LASTUSED", doc = "When it was last used, in ms since 1970.", type = "u64", unit = "moment"},
  [16] = {name = "XFRMA_POLICY_TYPE", doc = "Type of the policy.", type = "struct", struct = "xfrm_userpolicy_type"},
  [17] = {name = "XFRMA_MIGRATE", doc = "What moves where; in requests one attribute holds all, in events each has its own.", type = "list", struct = "xfrm_user_migrate"},
  [18] = {name = "XFRMA_ALG_AEAD", doc = "Algorithm that encrypts and protects.", type = "struct", struct = "xfrm_algo_aead"},
  [19] = {name = "XFRMA_KMADDRESS", doc = "Addresses the key managers talk over.", type = "struct", struct = "xfrm_user_kmaddress"},
  [20] = {name = "XFRMA_ALG_AUTH_TRUNC", doc = "Integrity algorithm, with the length of its check value.", type = "struct", struct = "xfrm_algo_auth"},
  [21] = {name = "XFRMA_MARK", doc = "Which packets: their mark.", type = "struct", struct = "xfrm_mark"},
  [22] = {name = "XFRMA_TFCPAD", doc = "Packets are padded to this many bytes.", type = "u32"},
  [23] = {name = "XFRMA_REPLAY_ESN_VAL", doc = "Sequence numbers, in the large form.", type = "struct", struct = "xfrm_replay_state_esn"},
  [24] = {name = "XFRMA_SA_EXTRA_FLAGS", doc = "Further flags.", type = "u32", names = "StateExtraFlags", hex = true},
  [25] = {name = "XFRMA_PROTO", doc = "Which SAs a dump is asked for.", type = "u8", names = "IpsecProto"},
  [26] = {name = "XFRMA_ADDRESS_FILTER", doc = "Which SAs a dump is asked for.", type = "struct", struct = "xfrm_address_filter"},
  [27] = {name = "XFRMA_PAD", type = "pad"},
  [28] = {name = "XFRMA_OFFLOAD_DEV", doc = "The device that does the work.", type = "struct", struct = "xfrm_user_offload"},
  [29] = {name = "XFRMA_SET_MARK", doc = "Mark given to packets.", type = "u32", hex = true},
  [30] = {name = "XFRMA_SET_MARK_MASK", doc = "Bits of setMark that count.", type = "u32", hex = true},
  [31] = {name = "XFRMA_IF_ID", doc = "Id of the xfrm interface.", type = "u32"},
  [32] = {name = "XFRMA_MTIMER_THRESH", doc = "Seconds between two MAPPING events.", type = "u32"},
  [33] = {name = "XFRMA_SA_DIR", doc = "Direction (kernel 6.10).", type = "u8", names = "StateDir"},
  [34] = {name = "XFRMA_NAT_KEEPALIVE_INTERVAL", doc = "Seconds between two keep-alive packets (kernel 6.11).", type = "u32"},
  [35] = {name = "XFRMA_SA_PCPU", doc = "The processor it belongs to (kernel 6.13).", type = "u32"},
  [36] = {name = "XFRMA_IPTFS_DROP_TIME", doc = "IP-TFS: µs to wait for a missing packet.", type = "u32"},
  [37] = {name = "XFRMA_IPTFS_REORDER_WINDOW", doc = "IP-TFS: packets that may come out of order.", type = "u16"},
  [38] = {name = "XFRMA_IPTFS_DONT_FRAG", doc = "IP-TFS: inner packets are not split.", type = "flag"},
  [39] = {name = "XFRMA_IPTFS_INIT_DELAY", doc = "IP-TFS: µs to gather packets.", type = "u32"},
  [40] = {name = "XFRMA_IPTFS_MAX_QSIZE", doc = "IP-TFS: bytes that may wait.", type = "u32"},
  [41] = {name = "XFRMA_IPTFS_PKT_SIZE", doc = "IP-TFS: size of the outer packets in bytes; 0 for the path’s.", type = "u32"},
}

local SAD_ATTRIBUTES = {
  [1] = {name = "XFRMA_SAD_CNT", doc = "Number of SAs.", type = "u32"},
  [2] = {name = "XFRMA_SAD_HINFO", doc = "Their hash table.", type = "struct", struct = "xfrmu_sadhinfo"},
}

local SPD_ATTRIBUTES = {
  [1] = {name = "XFRMA_SPD_INFO", doc = "Numbers of policies.", type = "struct", struct = "xfrmu_spdinfo"},
  [2] = {name = "XFRMA_SPD_HINFO", doc = "Their hash table.", type = "struct", struct = "xfrmu_spdhinfo"},
  [3] = {name = "XFRMA_SPD_IPV4_HTHRESH", doc = "Which IPv4 policies are hashed.", type = "struct", struct = "xfrmu_spdhthresh"},
  [4] = {name = "XFRMA_SPD_IPV6_HTHRESH", doc = "Which IPv6 policies are hashed.", type = "struct", struct = "xfrmu_spdhthresh"},
}

local MESSAGES = {
  [16] = {name = "NEWSA", struct = "xfrm_usersa_info", size = 224, space = "xfrm"},
  [17] = {name = "DELSA", struct = "xfrm_usersa_id", size = 24, space = "xfrm"},
  [18] = {name = "GETSA", struct = "xfrm_usersa_id", size = 24, space = "xfrm", bare = true},
  [19] = {name = "NEWPOLICY", struct = "xfrm_userpolicy_info", size = 168, space = "xfrm"},
  [20] = {name = "DELPOLICY", struct = "xfrm_userpolicy_id", size = 64, space = "xfrm"},
  [21] = {name = "GETPOLICY", struct = "xfrm_userpolicy_id", size = 64, space = "xfrm", bare = true},
  [22] = {name = "ALLOCSPI", struct = "xfrm_userspi_info", size = 232, space = "xfrm"},
  [23] = {name = "ACQUIRE", struct = "xfrm_user_acquire", size = 280, space = "xfrm"},
  [24] = {name = "EXPIRE", struct = "xfrm_user_expire", size = 232, space = "xfrm"},
  [25] = {name = "UPDPOLICY", struct = "xfrm_userpolicy_info", size = 168, space = "xfrm"},
  [26] = {name = "UPDSA", struct = "xfrm_usersa_info", size = 224, space = "xfrm"},
  [27] = {name = "POLEXPIRE", struct = "xfrm_user_polexpire", size = 176, space = "xfrm"},
  [28] = {name = "FLUSHSA", struct = "xfrm_usersa_flush", size = 1, space = "xfrm"},
  [29] = {name = "FLUSHPOLICY", size = 0, space = "xfrm"},
  [30] = {name = "NEWAE", struct = "xfrm_aevent_id", size = 48, space = "xfrm"},
  [31] = {name = "GETAE", struct = "xfrm_aevent_id", size = 48, space = "xfrm"},
  [32] = {name = "REPORT", struct = "xfrm_user_report", size = 60, space = "xfrm"},
  [33] = {name = "MIGRATE", struct = "xfrm_userpolicy_id", size = 64, space = "xfrm"},
  [34] = {name = "NEWSADINFO", size = 4, space = "sad"},
  [35] = {name = "GETSADINFO", size = 4, space = "sad"},
  [36] = {name = "NEWSPDINFO", size = 4, space = "spd"},
  [37] = {name = "GETSPDINFO", size = 4, space = "spd"},
  [38] = {name = "MAPPING", struct = "xfrm_user_mapping", size = 64, space = "xfrm"},
  [39] = {name = "SETDEFAULT", struct = "xfrm_userpolicy_default", size = 3, space = "xfrm"},
  [40] = {name = "GETDEFAULT", struct = "xfrm_userpolicy_default", size = 3, space = "xfrm"},
  [41] = {name = "MIGRATE_STATE", struct = "xfrm_user_migrate_state", size = 132, space = "xfrm"},
}

local SPACES = { xfrm = XFRM_ATTRIBUTES, sad = SAD_ATTRIBUTES, spd = SPD_ATTRIBUTES }

local xfrm = Proto("xfrm", "Linux IPsec (XFRM) over netlink")
xfrm.prefs.keys = Pref.bool("Show keys", false, "Show the bytes of keys in the tree; the bytes of the packet have them anyway")

local fields = {}
local function field(abbr, make)
  local one = fields[abbr]
  if not one then
    one = make()
    fields[abbr] = one
  end
  return one
end

local SIZE = { u8 = 1, u16 = 2, be16 = 2, u32 = 4, s32 = 4, be32 = 4, u64 = 8, be64 = 8 }
local MAKE = {
  u8 = ProtoField.uint8, u16 = ProtoField.uint16, be16 = ProtoField.uint16, u32 = ProtoField.uint32,
  s32 = ProtoField.int32, be32 = ProtoField.uint32, u64 = ProtoField.uint64, be64 = ProtoField.uint64,
}

-- Whether names are of bits: a list of pairs, then.
local function is_flags(names) return names ~= nil and type(names[1]) == "table" end

local function declare(abbr, of)
  local name, kind = of.name, of.type
  if kind == "address" or kind == "ip" then
    of.v4 = field(abbr, function() return ProtoField.ipv4(abbr, name, of.doc) end)
    of.raw = field(abbr .. "_raw", function() return ProtoField.string(abbr .. "_raw", name, base.ASCII, of.doc) end)
    of.v6 = field(abbr .. "6", function() return ProtoField.ipv6(abbr .. "6", name, of.doc) end)
  elseif kind == "name" or kind == "text" then
    of.field = field(abbr, function() return ProtoField.string(abbr, name, base.ASCII, of.doc) end)
  elseif kind == "key" then
    of.field = field(abbr, function() return ProtoField.bytes(abbr, name, base.NONE, "The key") end)
    of.hidden = field(abbr .. "_bits", function()
      return ProtoField.uint32(abbr .. "_bits", name, base.DEC, nil, nil, "Bits of the key, which is not shown")
    end)
  elseif kind == "rest" then
    of.field = field(abbr, function() return ProtoField.bytes(abbr, name, base.NONE, of.doc) end)
  elseif kind == "words" then
    of.field = field(abbr, function() return ProtoField.uint32(abbr, name, base.HEX, nil, nil, of.doc) end)
  elseif kind == "truth" then
    of.field = field(abbr, function() return ProtoField.uint8(abbr, name, base.DEC, { [0] = "no", [1] = "yes" }, nil, of.doc) end)
  elseif kind == "flag" then
    of.field = field(abbr, function() return ProtoField.bool(abbr, name, base.NONE, nil, nil, of.doc) end)
  elseif MAKE[kind] then
    local names = NAMES[of.names]
    local values = names
    if is_flags(names) then values = nil end
    local shown = (of.hex or is_flags(names)) and base.HEX or base.DEC
    of.field = field(abbr, function() return MAKE[kind](abbr, name, shown, values, nil, of.doc) end)
  end
end

for kernel, struct in pairs(STRUCTS) do
  local short = kernel:gsub("^xfrm_", "")
  for _, one in ipairs(struct.fields) do
    if one.type ~= "struct" then declare("xfrm." .. short .. "." .. one.name, one) end
  end
end
for _, space in pairs(SPACES) do
  for _, one in pairs(space) do
    one.short = one.name:gsub("^XFRMA_", "")
    declare("xfrm." .. one.short:lower(), one)
  end
end

local message_names, attribute_names = {}, {}
for number, one in pairs(MESSAGES) do message_names[number] = "XFRM_MSG_" .. one.name end
local f = {
  length = ProtoField.uint32("xfrm.nlmsg_len", "Length", base.DEC),
  type = ProtoField.uint16("xfrm.nlmsg_type", "Type", base.DEC, message_names),
  flags = ProtoField.uint16("xfrm.nlmsg_flags", "Flags", base.HEX),
  seq = ProtoField.uint32("xfrm.nlmsg_seq", "Sequence", base.DEC),
  port = ProtoField.uint32("xfrm.nlmsg_pid", "Port ID", base.DEC),
  message = ProtoField.string("xfrm.message", "Message"),
  word = ProtoField.uint32("xfrm.flags", "Flags", base.HEX),
  attribute = ProtoField.uint16("xfrm.attribute", "Attribute", base.DEC),
  attribute_length = ProtoField.uint16("xfrm.attribute_length", "Attribute length", base.DEC),
  unknown = ProtoField.bytes("xfrm.unknown", "Unknown"),
}
for name, one in pairs(f) do fields["\0" .. name] = one end
local malformed = ProtoExpert.new("xfrm.malformed", "A length is invalid", expert.group.MALFORMED, expert.severity.ERROR)
xfrm.experts = { malformed }

local all = {}
for _, one in pairs(fields) do all[#all + 1] = one end
xfrm.fields = all

local REQUEST, DUMP, MULTI = 1, 0x300, 2
local NLMSG = { [1] = "NLMSG_NOOP", [2] = "NLMSG_ERROR", [3] = "NLMSG_DONE", [4] = "NLMSG_OVERRUN" }
local INET, INET6 = 2, 10

-- What a message holds is in the order of bytes of the host that sent it.
local function reader(little)
  local own = {}
  function own.u8(range) return range:uint() end
  own.u16 = little and function(r) return r:le_uint() end or function(r) return r:uint() end
  own.u32 = own.u16
  own.s32 = little and function(r) return r:le_int() end or function(r) return r:int() end
  own.u64 = little and function(r) return r:le_uint64() end or function(r) return r:uint64() end
  function own.be16(r) return r:uint() end
  own.be32 = own.be16
  function own.be64(r) return r:uint64() end
  function own.add(tree, one, range, kind)
    if little and kind:sub(1, 2) ~= "be" and kind ~= "u8" then return tree:add_le(one, range) end
    return tree:add(one, range)
  end
  return own
end

local function spi_text(spi) return string.format("0x%08x", spi) end

-- What a message is about: the first value of each name outside of templates; of selectors apart.
local function note(state, name, value)
  if not state.listens then return end
  name = state.prefix .. name
  if state.said[name] == nil then state.said[name] = value end
end

local function add_address(tree, of, range, family, state)
  local item
  if family == INET then
    local address = range(0, 4)
    item = tree:add(of.v4, address)
    note(state, of.name, tostring(address:ipv4()))
  elseif family == INET6 then
    local address = range(0, 16)
    item = tree:add(of.v6, address)
    note(state, of.name, tostring(address:ipv6()))
  else
    -- Of no family: all zero for any.
    local text = tostring(range:bytes()):lower()
    if not text:find("[^0]") then text = "any" end
    item = tree:add(of.raw, range, text)
  end
  return item
end

local function add_number(tree, of, range, read, state)
  local value = read[of.type](range)
  local item = read.add(tree, of.field, range, of.type)
  local plain = type(value) == "number" and value or nil
  note(state, of.name, of.names and NAMES[of.names][plain] or plain)
  local names = NAMES[of.names]
  if is_flags(names) then
    local set = {}
    for _, pair in ipairs(names) do
      if bit.band(plain, pair[1]) ~= 0 then set[#set + 1] = pair[2] end
    end
    if #set > 0 then item:append_text(" (" .. table.concat(set, ", ") .. ")") end
  end
  if of.none == "ones" and tostring(value):match("^18446744073709551615") then item:append_text(" (none)")
  elseif of.none == "zero" and tostring(value) == "0" then item:append_text(" (none)")
  elseif of.unit then item:append_text(" (" .. (of.unit == "moment" and "seconds since 1970" or of.unit) .. ")") end
  return item
end

local add_struct

local function add_field(tree, of, range, state, outer, struct)
  local read = state.read
  local at, kind = of.at, of.type
  local left = range:len() - at
  local function family_of(where)
    local own = where ~= "outer" and read.u16(range(where, 2)) or 0
    return (own ~= 0 or of.only) and own or outer
  end
  if kind == "struct" then
    local inner = STRUCTS[of.struct]
    if left < inner.size then return end
    local own = struct.family and family_of(struct.family) or 0
    local subtree = tree:add(xfrm, range(at, inner.size), of.name .. " (" .. of.struct .. ")")
    add_struct(subtree, of.struct, range(at, inner.size), state, own)
  elseif kind == "address" then
    add_address(tree, of, range(at, 16), family_of(of.family), state)
  elseif kind == "name" then
    local text = range(at, of.size):string():gsub("\0.*", "")
    tree:add(of.field, range(at, of.size), text)
    note(state, of.name, text)
  elseif kind == "truth" then
    tree:add(of.field, range(at, 1))
    note(state, of.name, range(at, 1):uint())
  elseif kind == "key" then
    local bits = read.u32(range(of.bits, 4))
    local size = math.min(math.ceil(bits / 8), left)
    if size == 0 then return end
    if xfrm.prefs.keys then tree:add(of.field, range(at, size))
    else tree:add(of.hidden, range(of.bits, 4), bits):append_text(" bits, hidden (preference xfrm.keys)") end
  elseif kind == "words" then
    for i = 0, math.min(read.u32(range(of.count, 4)), math.floor(left / 4)) - 1 do
      read.add(tree, of.field, range(at + 4 * i, 4), "u32")
    end
  elseif kind == "text" then
    local size = math.min(read.u16(range(of.length, 2)), left)
    if size > 0 then tree:add(of.field, range(at, size)) end
  elseif kind == "ip" then
    local family = read.u16(range(of.family, 2))
    local size = family == INET6 and 16 or 4
    if left >= size then add_address(tree, of, range(at, size), family, state) end
  elseif kind == "rest" then
    if left > 0 then tree:add(of.field, range(at, left)) end
  elseif left >= SIZE[kind] then
    add_number(tree, of, range(at, SIZE[kind]), read, state)
  end
end

-- A struct with what follows it in the same attribute.
add_struct = function(tree, kernel, range, state, outer)
  local struct, prefix = STRUCTS[kernel], state.prefix
  if kernel == "xfrm_selector" then state.prefix = "sel." end
  for _, of in ipairs(struct.fields) do add_field(tree, of, range, state, outer, struct) end
  state.prefix = prefix
end

local function wrong(tree, range, text)
  tree:add_proto_expert_info(malformed, text)
  if range and range:len() > 0 then tree:add(f.unknown, range) end
end

-- The family of addresses in the attributes beside a struct, or after it.
local function family_around(kernel, range, state)
  local where = STRUCTS[kernel].around
  return where == "outer" and state.family or state.read.u16(range(where, 2))
end

local function add_attribute(tree, space, range, state)
  local read = state.read
  local length, number = read.u16(range(0, 2)), bit.band(read.u16(range(2, 2)), 0x3fff)
  local of = space[number]
  local name = of and of.name or ("attribute " .. number)
  local subtree = tree:add(xfrm, range, name)
  read.add(subtree, f.attribute_length, range(0, 2), "u16")
  read.add(subtree, f.attribute, range(2, 2), "u16"):append_text(" (" .. name .. ")")
  if of and of.type == "flag" then subtree:add(of.field, range(0, 4), true) end
  if length == 4 then return end
  local payload = range(4, length - 4)
  local kind = of and of.type
  if kind == nil then subtree:add(f.unknown, payload)
  elseif kind == "struct" then
    if payload:len() < STRUCTS[of.struct].size then return wrong(subtree, payload, name .. " is too short") end
    if of.name == "XFRMA_SA" or of.name == "XFRMA_POLICY" then
      state.listens = true
      state.family = family_around(of.struct, payload, state)
    end
    add_struct(subtree, of.struct, payload, state, state.family)
    state.listens = false
  elseif kind == "list" then
    local size = STRUCTS[of.struct].size
    for at = 0, payload:len() - size, size do
      local one = payload(at, size)
      add_struct(subtree:add(xfrm, one, of.struct), of.struct, one, state, state.family)
    end
    if payload:len() % size > 0 then wrong(subtree, nil, name .. " has an incomplete " .. of.struct) end
  elseif kind == "address" then
    if payload:len() < 16 then return wrong(subtree, payload, name .. " is too short") end
    add_address(subtree, of, payload, state.family, state)
  elseif kind ~= "flag" and kind ~= "pad" then
    local size = SIZE[kind]
    if payload:len() < size then return wrong(subtree, payload, name .. " is too short") end
    add_number(subtree, of, payload(0, size), read, state)
    local value = read[kind](payload(0, size))
    subtree:append_text(": " .. (of.hex and string.format("0x%x", tonumber(tostring(value))) or tostring(value)))
  end
end

local function add_attributes(tree, space, range, state)
  local at, total = 0, range:len()
  while total - at >= 4 do
    local length = state.read.u16(range(at, 2))
    if length < 4 or length > total - at then
      return wrong(tree, range(at), "the attribute's length, " .. length .. ", is invalid")
    end
    add_attribute(tree, space, range(at, length), state)
    at = at + math.floor((length + 3) / 4) * 4
  end
  if total > at then wrong(tree, range(at), "bytes after the last attribute") end
end

-- One line about a message.
local function summary(name, request, said)
  local words = { (request and "request " or "") .. name }
  local function word(text) words[#words + 1] = text end
  if said.hard then word(said.hard == 1 and "hard" or "soft") end
  if said.index then
    word(tostring(said.dir))
    local function net(of) return (said["sel." .. of .. "addr"] or "any") .. "/" .. (said["sel.prefixlen_" .. of] or 0) end
    word(net("s") .. " > " .. net("d"))
  end
  if said.saddr and said.daddr then word(said.saddr .. " > " .. said.daddr)
  elseif said.daddr then word(said.daddr) end
  if said.spi then
    word(tostring(said.proto))
    word(spi_text(said.spi))
  end
  if said.reqid and said.reqid ~= 0 then word("reqid " .. said.reqid) end
  return table.concat(words, " ")
end

local function header(tree, range, read)
  local type = read.u16(range(4, 2))
  read.add(tree, f.length, range(0, 4), "u32")
  local item = read.add(tree, f.type, range(4, 2), "u16")
  if NLMSG[type] then item:append_text(" " .. NLMSG[type]) end
  local flags = read.u16(range(6, 2))
  local names = {}
  if bit.band(flags, REQUEST) ~= 0 then names[#names + 1] = "request" end
  if bit.band(flags, MULTI) ~= 0 then names[#names + 1] = "multi" end
  item = read.add(tree, f.flags, range(6, 2), "u16")
  if #names > 0 then item:append_text(" (" .. table.concat(names, ", ") .. ")") end
  read.add(tree, f.seq, range(8, 4), "u32")
  read.add(tree, f.port, range(12, 4), "u32")
  return type, flags
end

function xfrm.dissector(buffer, pinfo, root)
  local total = buffer:len()
  if total < 16 then return 0 end
  -- Types are small numbers.
  local little = buffer(4, 2):le_uint() <= buffer(4, 2):uint()
  local read = reader(little)
  local length = read.u32(buffer(0, 4))
  local range = buffer(0, math.max(math.min(length, total), 16))
  local tree = root:add(xfrm, range)
  local type, flags = header(tree, range, read)
  if length < 16 or length > total then wrong(tree, nil, "the message's length, " .. length .. ", is invalid") end
  pinfo.cols.protocol = "XFRM"
  local message = MESSAGES[type]
  if not message then
    local text = NLMSG[type] or ("type " .. type)
    if type == 2 and length >= 20 then
      local code = little and range(16, 4):le_int() or range(16, 4):int()
      text = code == 0 and "ack" or ("error " .. -code)
    end
    tree:append_text(", " .. text)
    pinfo.cols.info:append(" " .. text)
    if length > 16 then tree:add(f.unknown, range(16)) end
    return total
  end
  local request = bit.band(flags, REQUEST) ~= 0
  local state = { read = read, said = {}, prefix = "", listens = true, family = 0 }
  local body = range:len() > 16 and range(16) or nil
  local size = message.size
  if request and message.bare and bit.band(flags, DUMP) == DUMP then size = 0 end
  local item = tree:add(f.message, range(4, 2), message.name)
  item:set_generated()
  if size > 0 then
    if body == nil or body:len() < size then
      wrong(tree, body, message.name .. " is too short")
      return total
    end
    if message.struct then
      state.family = family_around(message.struct, body, state)
      local subtree = tree:add(xfrm, body(0, size), message.struct)
      add_struct(subtree, message.struct, body(0, size), state, state.family)
      state.listens = false
    else
      read.add(tree, f.word, body(0, 4), "u32")
    end
  end
  local from = math.floor((size + 3) / 4) * 4
  if body and body:len() > from then add_attributes(tree, SPACES[message.space], body(from), state) end
  local text = summary(message.name, request, state.said)
  tree:append_text(", " .. text)
  pinfo.cols.info:append(" " .. text)
  return total
end

-- NETLINK_XFRM
DissectorTable.get("netlink.protocol"):add(6, xfrm)
