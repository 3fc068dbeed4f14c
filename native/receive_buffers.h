// Buffers the kernel writes datagrams into, and packing them into one arena. Plain memory and one
// system call; independent of JavaScript.
#pragma once

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

// Datagrams per system call, and therefore the maximum per call into JavaScript.
constexpr size_t kBatch = 64;
// Room for one datagram. The kernel grows dump chunks to the largest buffer ever offered, up to 32
// KiB (net/netlink/af_netlink.c, netlink_dump), so 64 KiB holds anything it sends.
constexpr size_t kSlot = 64 * 1024;
// Alignment of packed datagrams in the arena.
constexpr size_t kAlignment = 8;
constexpr size_t kArenaBytes = kBatch * kSlot;

// One entry per datagram, which JavaScript reads through a Uint32Array: keep in step with
// lib/socket/batch.ts.
struct Entry {
  uint32_t offset;
  uint32_t length;
  uint32_t port_id;
  uint32_t truncated;
  uint32_t group;  // kUnknown without control messages
  int32_t nsid;    // likewise, and for the socket's own network namespace
};

// Stands for values that the kernel did not provide. Not a valid group or namespace id: those are
// positive (net/core/net_namespace.c, alloc_netid).
constexpr uint32_t kUnknown = UINT32_MAX;

// Room for the control messages of one datagram: the group (NETLINK_PKTINFO) and the namespace id
// (NETLINK_LISTEN_ALL_NSID), 4 bytes each.
struct Control {
  alignas(cmsghdr) uint8_t bytes[2 * CMSG_SPACE(sizeof(uint32_t))];
};

// Errors that the kernel sets on a socket whose events it dropped: a full receive buffer, or
// rtnetlink failing to build the message (net/netlink/af_netlink.c netlink_overrun,
// net/core/rtnetlink.c rtnl_set_sk_err). Each is reported once and then cleared.
inline bool MeansLoss(int error) {
  return error == ENOBUFS || error == ENOMEM || error == EMSGSIZE;
}

struct Packed {
  uint32_t count = 0;     // datagrams in the arena
  uint32_t rejected = 0;  // datagrams refused because of where they came from
  size_t used = 0;        // where the last of them ends in the arena
};

// Shared by all sockets of an environment: one receives at a time, from the system call to the end
// of Pack. Mapped on first use; pages that no datagram reached are never touched. Excluded from
// core dumps and from forked processes. Not locked into memory: unprivileged processes may lock
// little (RLIMIT_MEMLOCK), and a slot is wiped before JavaScript runs.
class ReceiveBuffers {
 public:
  ReceiveBuffers() = default;
  ~ReceiveBuffers();
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;

  // Returns 0, or -errno of mmap.
  int Allocate();

  // Calls recvmmsg once, without blocking, for at most `most` datagrams (1 to kBatch). Returns the
  // number received, or -errno. With `control`, also receives the control messages that the
  // socket's options enable.
  int Receive(int fd, uint32_t most, bool control);

  // Copies what the last Receive got into `arena`, which has kArenaBytes free from `first` on, and
  // `entries` (kBatch), and wipes the slots: a datagram can hold IPsec keys in the clear. Datagrams
  // without a source port are never passed on; with `kernel_only`, only those with source port 0,
  // which only the kernel has.
  Packed Pack(size_t received, bool kernel_only, uint8_t* arena, size_t first, Entry* entries);

  // The parts of Pack, for datagram `i` of the last Receive. Describe returns whether it is to be
  // passed on; it leaves the offset as it is.
  bool Describe(size_t i, bool kernel_only, Entry* entry) const;
  const uint8_t* slot(size_t i) const { return slots_ + i * kSlot; }
  void Wipe(size_t i);

 private:
  uint8_t* slots_ = nullptr;
  mmsghdr headers_[kBatch];
  iovec vectors_[kBatch];
  sockaddr_nl sources_[kBatch];
  Control controls_[kBatch];
};
