#define _GNU_SOURCE
#include "listener.h"

#include <err.h>
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static volatile sig_atomic_t ended;
static void on_end(int number) {
  (void)number;
  ended = 1;
}

static uint32_t latencies[1 << 16];
static size_t samples;

uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void note_latency(uint32_t seq) {
  if (samples < sizeof(latencies) / sizeof(latencies[0])) {
    latencies[samples++] = (uint32_t)nanoseconds() - seq;
  }
}

int open_listener(int size, uint32_t groups) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_XFRM);
  if (fd < 0) err(1, "socket");
  // If the full size is not permitted, as much as the machine allows.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0) {
    err(1, "setsockopt");
  }
  struct sockaddr_nl self = {.nl_family = AF_NETLINK, .nl_groups = groups};
  if (bind(fd, (struct sockaddr*)&self, sizeof(self)) < 0) err(1, "bind");
  return fd;
}

void run_listener(int fd, void (*drain)(int, struct report*), struct report* report) {
  sigset_t blocked, unblocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  // Delivered only during ppoll, so that none is missed between the check and the wait.
  sigprocmask(SIG_BLOCK, &blocked, &unblocked);
  struct sigaction action = {.sa_handler = on_end};
  sigaction(SIGTERM, &action, NULL);
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  while (!ended) {
    if (ppoll(&waiting, 1, NULL, &unblocked) < 0) {
      if (errno == EINTR) continue;
      err(1, "ppoll");
    }
    drain(fd, report);
    report->last = nanoseconds();
  }
  printf("{\"received\":%llu,\"overruns\":%llu,\"rejected\":%llu,\"first\":%llu,\"last\":%llu",
         (unsigned long long)report->received, (unsigned long long)report->overruns,
         (unsigned long long)report->rejected, (unsigned long long)report->first,
         (unsigned long long)report->last);
  if (samples > 0) {
    printf(",\"latencies\":[");
    for (size_t i = 0; i < samples; i++) printf("%s%u", i == 0 ? "" : ",", latencies[i]);
    printf("]");
  }
  printf("}\n");
  fflush(stdout);
}
