// Sockets and files, also in another network namespace, while the calling thread stays where it is.
#pragma once

// What came of some system calls: the result of the last, or -errno of the one that failed.
struct Outcome {
  int result;
  const char* syscall;
};

// Both run in a thread made for the call, which enters the namespace of the descriptor `netns`
// (setns(2) moves a single thread) and ends before this returns. A descriptor.
Outcome OpenSocketIn(int netns, int protocol);
Outcome OpenFileIn(int netns, const char* path);

// In the caller's own namespace.
Outcome OpenSocket(int protocol);
