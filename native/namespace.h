// Opens sockets and files, optionally in another network namespace, while the calling thread stays
// in its own.
#pragma once

#include <sys/socket.h>

// The outcome of several system calls: the result of the last, or -errno of the one that failed.
struct Outcome {
  int result;
  const char* syscall;
};

// Functions with `netns` run in a thread made for the call, which enters the namespace of that
// descriptor (setns(2) affects a single thread) and ends before they return. They return a
// descriptor.
Outcome OpenSocketIn(int netns, int protocol);
Outcome OpenFileIn(int netns, const char* path);

// In the caller's own namespace.
Outcome OpenSocket(int protocol);

// A new, empty network namespace: it lasts as long as its descriptor and what was opened in it.
Outcome MakeNamespace();

// Any socket, non-blocking; in the caller's own namespace if `netns` is negative; bound to
// `address` unless `length` is 0.
struct SocketKind {
  int domain;
  int type;
  int protocol;
};
Outcome OpenBoundIn(int netns, const SocketKind& kind, const sockaddr* address, socklen_t length);
