// Work in another network namespace, while the calling thread stays where it is.
#pragma once

// Both run in a thread made for the call, which enters the namespace of the descriptor `netns`
// (setns(2) moves a single thread) and ends before this returns. A descriptor, or -errno.
int OpenSocketIn(int netns, int protocol);
int OpenFileIn(int netns, const char* path);
// Whether a thread of this process may enter: 0, or -errno of setns.
int Enter(int netns);

// In the caller's own namespace.
int OpenSocket(int protocol);
