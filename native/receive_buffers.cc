#include "receive_buffers.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "interrupted.h"

namespace {

// Only these two messages of 4 bytes are expected: see Control.
void ReadControl(const msghdr& header, Entry* entry) {
  // CMSG_NXTHDR requires a non-const pointer.
  auto* message = const_cast<msghdr*>(&header);
  for (cmsghdr* it = CMSG_FIRSTHDR(message); it != nullptr; it = CMSG_NXTHDR(message, it)) {
    if (it->cmsg_level != SOL_NETLINK || it->cmsg_len < CMSG_LEN(sizeof(uint32_t))) continue;
    if (it->cmsg_type == NETLINK_PKTINFO) memcpy(&entry->group, CMSG_DATA(it), sizeof(uint32_t));
    if (it->cmsg_type == NETLINK_LISTEN_ALL_NSID) {
      memcpy(&entry->nsid, CMSG_DATA(it), sizeof(int32_t));
    }
  }
}

}  // namespace

ReceiveBuffers::~ReceiveBuffers() {
  if (slots_ != nullptr) munmap(slots_, kArenaBytes);
}

int ReceiveBuffers::Allocate() {
  if (slots_ != nullptr) return 0;
  void* memory = mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  slots_ = static_cast<uint8_t*>(memory);
  // Kernels that do not support these (before 3.4 and 4.14) are not a reason to fail.
  madvise(slots_, kArenaBytes, MADV_DONTDUMP);
  madvise(slots_, kArenaBytes, MADV_WIPEONFORK);
  memset(headers_, 0, sizeof(headers_));
  for (size_t i = 0; i < kBatch; i++) {
    vectors_[i] = {slots_ + i * kSlot, kSlot};
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
    headers_[i].msg_hdr.msg_name = &sources_[i];
  }
  return 0;
}

int ReceiveBuffers::Receive(int fd, uint32_t most, bool control) {
  for (size_t i = 0; i < most; i++) {
    // The kernel overwrites the lengths and the flags.
    msghdr& header = headers_[i].msg_hdr;
    header.msg_namelen = sizeof(sockaddr_nl);
    header.msg_flags = 0;
    header.msg_control = control ? controls_[i].bytes : nullptr;
    header.msg_controllen = control ? sizeof(controls_[i].bytes) : 0;
  }
  const int received =
      Uninterrupted([&] { return recvmmsg(fd, headers_, most, MSG_DONTWAIT, nullptr); });
  return received < 0 ? -errno : received;
}

Packed ReceiveBuffers::Pack(size_t received, bool kernel_only, uint8_t* arena, size_t first,
                            Entry* entries) {
  Packed packed;
  packed.used = first;
  for (size_t i = 0; i < received; i++) {
    Entry& entry = entries[packed.count];
    if (!Describe(i, kernel_only, &entry)) {
      packed.rejected++;
    } else {
      packed.count++;
      entry.offset = static_cast<uint32_t>(packed.used);
      memcpy(arena + packed.used, slot(i), entry.length);
      packed.used += (entry.length + kAlignment - 1) & ~(kAlignment - 1);
    }
    Wipe(i);
  }
  return packed;
}

bool ReceiveBuffers::Describe(size_t i, bool kernel_only, Entry* entry) const {
  const mmsghdr& header = headers_[i];
  const bool named =
      header.msg_hdr.msg_namelen >= sizeof(sockaddr_nl) && sources_[i].nl_family == AF_NETLINK;
  if (!named || (kernel_only && sources_[i].nl_pid != 0)) return false;
  entry->length = header.msg_len;
  entry->port_id = sources_[i].nl_pid;
  entry->truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0 ? 1 : 0;
  entry->group = kUnknown;
  entry->nsid = static_cast<int32_t>(kUnknown);
  if (header.msg_hdr.msg_controllen != 0) ReadControl(header.msg_hdr, entry);
  return true;
}

void ReceiveBuffers::Wipe(size_t i) { explicit_bzero(slots_ + i * kSlot, headers_[i].msg_len); }
