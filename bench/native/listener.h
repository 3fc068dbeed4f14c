// What the listeners in C share: the socket, the loop around it, and the report at the end.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// What a listener counted. Times are those of CLOCK_MONOTONIC in nanoseconds.
struct report {
  uint64_t received;
  uint64_t overruns;
  uint64_t rejected;  // not from the kernel
  uint64_t first;     // when the first datagram had been read
  uint64_t last;      // when the queue was last found empty
};

// A socket of NETLINK_XFRM with a receive buffer of `size` bytes, bound, in the groups of the mask.
// Exits with a message where that cannot be had.
int open_listener(int size, uint32_t groups);

// Nanoseconds of CLOCK_MONOTONIC.
uint64_t nanoseconds(void);

// Calls `drain`, which reads until there is nothing left, whenever something waits; ends with
// SIGTERM. Then prints the report as one line of JSON, with `latencies` (nanoseconds) if any.
void run_listener(int fd, void (*drain)(int fd, struct report* report), struct report* report);

// Keeps the time since the request whose sequence number is `seq`: the load wrote the low 32 bits
// of the clock there (load.c), and the kernel repeats it in the event.
void note_latency(uint32_t seq);
