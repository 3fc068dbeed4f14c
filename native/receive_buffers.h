// Where the kernel writes datagrams, and how they get from there into one packed arena.
// Plain memory and one system call; knows nothing of JavaScript.
#pragma once

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

// Datagrams taken in one system call, so at most this many in one call into JavaScript.
constexpr size_t kBatch = 64;
// Room for one datagram. The kernel grows dump chunks to the largest buffer ever offered, up to
// 32 KiB (net/netlink/af_netlink.c, netlink_dump), so 64 KiB holds whatever it sends.
constexpr size_t kSlot = 64 * 1024;
// Packed datagrams start at multiples of this in the arena.
constexpr size_t kAlignment = 8;
constexpr size_t kArenaBytes = kBatch * kSlot;

// One entry a datagram, read in JavaScript through a Uint32Array: keep both in step
// (lib/socket/batch.ts).
struct Entry {
  uint32_t offset;
  uint32_t length;
  uint32_t port_id;
  uint32_t truncated;
  uint32_t group;  // kUnknown without control messages
  int32_t nsid;    // likewise, and for the socket's own network namespace
};

// In place of what the kernel did not tell. No group, and no namespace id: those are positive
// (net/core/net_namespace.c, alloc_netid).
constexpr uint32_t kUnknown = UINT32_MAX;

// Room for the control messages of one datagram: the group (NETLINK_PKTINFO) and the namespace id
// (NETLINK_LISTEN_ALL_NSID), 4 bytes each.
struct Control {
  alignas(cmsghdr) uint8_t bytes[2 * CMSG_SPACE(sizeof(uint32_t))];
};

struct Packed {
  uint32_t count = 0;     // datagrams in the arena
  uint32_t rejected = 0;  // datagrams refused because of where they came from
  size_t used = 0;        // where the last of them ends in the arena
};

// Shared by all sockets of an environment: one receives at a time, from the system call to the
// end of Pack. Mapped at the first use; pages no datagram reached are never touched. Core dumps and
// forked processes get none of it. It is not locked into memory: unprivileged processes may lock
// little (RLIMIT_MEMLOCK), and a slot is wiped before JavaScript runs.
class ReceiveBuffers {
 public:
  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // 0, or -errno of mmap.
  int Allocate();

  // One recvmmsg of at most `most` datagrams (1 to kBatch) that does not wait: the number of
  // datagrams received, or -errno. With `control`, with the control messages that the socket's
  // options ask for.
  int Receive(int fd, uint32_t most, bool control);

  // Copies what the last Receive got into `arena`, where kArenaBytes are free from `first` on, and
  // `entries` (kBatch), and wipes the slots: a datagram can hold IPsec keys in clear. Without a
  // source port it is never passed on; with `kernel_only`, not unless that port is 0, which only
  // the kernel has.
  Packed Pack(size_t received, bool kernel_only, uint8_t* arena, size_t first, Entry* entries);

 private:
  uint8_t* slots_ = nullptr;
  mmsghdr headers_[kBatch];
  iovec vectors_[kBatch];
  sockaddr_nl sources_[kBatch];
  Control controls_[kBatch];
};
