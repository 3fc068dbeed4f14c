// Run by sanitizers.ts, compiled with ThreadSanitizer: the thread that reads ahead, and one that
// takes, as the event loop does. Datagrams of random lengths must arrive in order, also when the
// memory is full, and the thread must end at any time.
//
//   threads SEED ROUNDS
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "../../native/read_ahead.h"

// What Node exports of libuv.
extern "C" int uv_thread_create(uv_thread_t* thread, uv_thread_cb entry, void* data) {
  struct Call {
    uv_thread_cb entry;
    void* data;
  };
  const auto run = [](void* given) -> void* {
    const Call call = *static_cast<Call*>(given);
    delete static_cast<Call*>(given);
    call.entry(call.data);
    return nullptr;
  };
  return -pthread_create(thread, nullptr, run, new Call{entry, data});
}
extern "C" int uv_thread_join(uv_thread_t* thread) { return -pthread_join(*thread, nullptr); }

namespace {

void Check(bool right, const char* what) {
  if (right) return;
  fprintf(stderr, "%s (errno %d)\n", what, errno);
  exit(1);
}

int Open(sockaddr_nl* address) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_USERSOCK);
  *address = {};
  address->nl_family = AF_NETLINK;
  socklen_t length = sizeof(*address);
  auto* to = reinterpret_cast<sockaddr*>(address);
  Check(fd >= 0 && bind(fd, to, length) == 0 && getsockname(fd, to, &length) == 0, "socket");
  return fd;
}

unsigned Below(unsigned* seed, unsigned most) { return static_cast<unsigned>(rand_r(seed)) % most; }

size_t LengthOf(uint32_t number) {
  return sizeof(uint32_t) + (number * 2654435761u >> 16) % (number % 9 == 0 ? 50000 : 600);
}

// One socket, until `total` datagrams have arrived, or earlier.
void Round(unsigned* seed, std::vector<uint8_t>* arena) {
  sockaddr_nl to, from;
  const int receiver = Open(&to);
  const int sender = Open(&from);
  Entry entries[kBatch];
  auto* ahead = new ReadAhead();
  Check(ahead->Allocate(Ring::kLeast).result >= 0, "memory");
  Check(ahead->Start(receiver, false) == 0, "thread");
  const uint32_t total = 1 + Below(seed, 3000);
  const uint32_t end = Below(seed, 3) == 0 ? Below(seed, total) : total;
  uint32_t sent = 0, taken = 0;
  std::vector<uint8_t> bytes(64 * 1024);
  while (taken < end) {
    // Bursts, between which the loop is busy or sleeps.
    for (unsigned i = Below(seed, 600); i > 0 && sent < total; i--) {
      memcpy(bytes.data(), &sent, sizeof(sent));
      const ssize_t result = sendto(sender, bytes.data(), LengthOf(sent), MSG_DONTWAIT,
                                    reinterpret_cast<sockaddr*>(&to), sizeof(to));
      if (result < 0 && errno == EAGAIN) break;
      Check(result >= 0, "sendto");
      sent++;
    }
    pollfd file = {ahead->readable(), POLLIN, 0};
    if (poll(&file, 1, sent == total ? 10000 : 0) == 0) {
      Check(sent < total, "a signal was lost");
      continue;
    }
    Packed packed;
    int lost = 0, failed = 0;
    ahead->Take(1 + Below(seed, kBatch), arena->data(), 0, entries, &packed, &lost, &failed);
    Check(lost == 0 && failed == 0 && packed.rejected == 0, "an error");
    for (uint32_t i = 0; i < packed.count; i++) {
      uint32_t number;
      memcpy(&number, arena->data() + entries[i].offset, sizeof(number));
      Check(number == taken && entries[i].length == LengthOf(number), "out of order");
      taken++;
    }
    if (Below(seed, 100) == 0) ahead->Waiting();
  }
  if (taken == total) {
    while (ahead->Waiting() != 0) {
    }
  }
  delete ahead;
  close(receiver);
  close(sender);
}

}  // namespace

int main(int, char** arguments) {
  auto seed = static_cast<unsigned>(atoi(arguments[1]));
  std::vector<uint8_t> arena(kArenaBytes);
  for (int round = atoi(arguments[2]); round > 0; round--) Round(&seed, &arena);
  return 0;
}
