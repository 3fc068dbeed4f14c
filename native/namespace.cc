#include "namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <uv.h>

namespace {

struct Visit {
  int netns;
  int (*work)(const Visit& visit);
  int protocol;
  const char* path;
  int result;
};

void Run(void* data) {
  Visit& visit = *static_cast<Visit*>(data);
  visit.result = setns(visit.netns, CLONE_NEWNET) < 0 ? -errno : visit.work(visit);
}

// libuv's thread, because it returns an error where std::thread would throw.
int Go(Visit visit) {
  uv_thread_t thread;
  const int status = uv_thread_create(&thread, Run, &visit);
  if (status != 0) return status;
  uv_thread_join(&thread);
  return visit.result;
}

int OpenFile(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

}  // namespace

int OpenSocket(int protocol) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  return fd < 0 ? -errno : fd;
}

int OpenSocketIn(int netns, int protocol) {
  const auto work = [](const Visit& visit) { return OpenSocket(visit.protocol); };
  return Go({netns, work, protocol, nullptr, 0});
}

int OpenFileIn(int netns, const char* path) {
  const auto work = [](const Visit& visit) { return OpenFile(visit.path); };
  return Go({netns, work, 0, path, 0});
}

int Enter(int netns) {
  const auto work = [](const Visit&) { return 0; };
  return Go({netns, work, 0, nullptr, 0});
}
