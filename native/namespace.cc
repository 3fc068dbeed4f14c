#include "namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <uv.h>

#include "interrupted.h"

namespace {

struct Visit {
  int netns;
  Outcome (*work)(const Visit& visit);
  int protocol;
  const char* path;
  Outcome outcome;
};

Outcome OutcomeOf(int result, const char* syscall) {
  return {result < 0 ? -errno : result, syscall};
}

void Run(void* data) {
  Visit& visit = *static_cast<Visit*>(data);
  visit.outcome = OutcomeOf(setns(visit.netns, CLONE_NEWNET), "setns");
  if (visit.outcome.result == 0) visit.outcome = visit.work(visit);
}

// libuv's thread, because it returns an error where std::thread would throw.
Outcome Go(Visit visit) {
  uv_thread_t thread;
  const int status = uv_thread_create(&thread, Run, &visit);
  if (status != 0) return {status, "pthread_create"};
  uv_thread_join(&thread);
  return visit.outcome;
}

Outcome OpenFile(const char* path) {
  return OutcomeOf(Uninterrupted([path] { return open(path, O_RDONLY | O_CLOEXEC); }), "open");
}

}  // namespace

Outcome OpenSocket(int protocol) {
  return OutcomeOf(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), "socket");
}

Outcome OpenSocketIn(int netns, int protocol) {
  const auto work = [](const Visit& visit) { return OpenSocket(visit.protocol); };
  return Go({netns, work, protocol, nullptr, {}});
}

Outcome OpenFileIn(int netns, const char* path) {
  const auto work = [](const Visit& visit) { return OpenFile(visit.path); };
  return Go({netns, work, 0, path, {}});
}
