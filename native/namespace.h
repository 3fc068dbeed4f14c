// Sockets and files, also in another network namespace, while the calling thread stays where it is.
#pragma once

#include <sys/socket.h>

// What came of some system calls: the result of the last, or -errno of the one that failed.
struct Outcome {
  int result;
  const char* syscall;
};

// All with `netns` run in a thread made for the call, which enters the namespace of that descriptor
// (setns(2) moves a single thread) and ends before this returns. A descriptor.
Outcome OpenSocketIn(int netns, int protocol);
Outcome OpenFileIn(int netns, const char* path);

// In the caller's own namespace.
Outcome OpenSocket(int protocol);

// A network namespace that nothing is in: it lasts until its descriptor is closed, and what was
// opened in it.
Outcome MakeNamespace();

// Any socket, non-blocking, in the caller's own namespace where `netns` is negative; bound to
// `address` unless `length` is 0.
struct SocketKind {
  int domain;
  int type;
  int protocol;
};
Outcome OpenBoundIn(int netns, const SocketKind& kind, const sockaddr* address, socklen_t length);
