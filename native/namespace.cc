#include "namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "interrupted.h"

namespace {

Outcome OutcomeOf(int result, const char* syscall) {
  return {result < 0 ? -errno : result, syscall};
}

// Runs `enter`, then `work`, in a new thread. uv_thread, because it returns an error where
// std::thread would throw.
template <typename Enter, typename Work>
Outcome RunInThread(Enter enter, Work work) {
  struct NamespaceCall {
    Enter enter;
    Work work;
    Outcome outcome;
  } call = {enter, work, {}};
  uv_thread_t thread;
  const auto run = [](void* data) {
    NamespaceCall& call = *static_cast<NamespaceCall*>(data);
    call.outcome = call.enter();
    if (call.outcome.result == 0) call.outcome = call.work();
  };
  const int status = uv_thread_create(&thread, run, &call);
  if (status != 0) return {status, "pthread_create"};
  uv_thread_join(&thread);
  return call.outcome;
}

template <typename Work>
Outcome RunInNamespace(int netns, Work work) {
  return RunInThread([netns] { return OutcomeOf(setns(netns, CLONE_NEWNET), "setns"); }, work);
}

Outcome OpenFile(const char* path) {
  return OutcomeOf(Uninterrupted([path] { return open(path, O_RDONLY | O_CLOEXEC); }), "open");
}

}  // namespace

Outcome OpenSocket(int protocol) {
  return OutcomeOf(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), "socket");
}

Outcome OpenSocketIn(int netns, int protocol) {
  return RunInNamespace(netns, [protocol] { return OpenSocket(protocol); });
}

Outcome OpenFileIn(int netns, const char* path) {
  return RunInNamespace(netns, [path] { return OpenFile(path); });
}

Outcome MakeNamespace() {
  return RunInThread([] { return OutcomeOf(unshare(CLONE_NEWNET), "unshare"); },
                     [] { return OpenFile("/proc/thread-self/ns/net"); });
}

Outcome OpenBoundIn(int netns, const SocketKind& kind, const sockaddr* address, socklen_t length) {
  const auto open = [&] {
    const int type = kind.type | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const Outcome opened = OutcomeOf(socket(kind.domain, type, kind.protocol), "socket");
    if (opened.result < 0 || length == 0) return opened;
    const Outcome bound = OutcomeOf(bind(opened.result, address, length), "bind");
    if (bound.result == 0) return opened;
    close(opened.result);
    return bound;
  };
  return netns < 0 ? open() : RunInNamespace(netns, open);
}
