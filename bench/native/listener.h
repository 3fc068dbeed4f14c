// Common parts of the C listeners: socket, receive loop, final report.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// A listener's counters. Times are nanoseconds of CLOCK_MONOTONIC.
struct report {
  uint64_t received;
  uint64_t overruns;
  uint64_t rejected;  // not from the kernel
  uint64_t first;     // when the first datagram had been read
  uint64_t last;      // when the queue was last found empty
};

// Opens a NETLINK_XFRM socket with a receive buffer of `size` bytes, bound, joined to the groups of
// the mask. Exits with a message on failure.
int open_listener(int size, uint32_t groups);

// Nanoseconds of CLOCK_MONOTONIC.
uint64_t nanoseconds(void);

// Calls `drain`, which reads until nothing is left, whenever the socket is readable; ends on
// SIGTERM. Then prints the report as a line of JSON, including `latencies` (nanoseconds) if there
// are any.
void run_listener(int fd, void (*drain)(int fd, struct report* report), struct report* report);

// Records the time since the request with sequence number `seq`: the load generator stores the low
// 32 bits of the clock there (load.c), and the kernel copies it to the event.
void note_latency(uint32_t seq);
