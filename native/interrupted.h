// System calls that a signal handler may interrupt.
#pragma once

#include <errno.h>

// Repeats the call while it fails with EINTR. Not for close(2): on Linux the descriptor is closed
// even then.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}
