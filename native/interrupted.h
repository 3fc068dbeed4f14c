// System calls that a signal handler may cut short.
#pragma once

#include <errno.h>

// Makes the call again for as long as it fails with EINTR. Not for close(2): on Linux the
// descriptor is closed then too.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}
