// What most people write: one datagram per call. Otherwise like floor.c.
//
//   recvmsg BYTES GROUPS kernel|any
#include <err.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "listener.h"

static bool kernel_only;

static void drain(int fd, struct report* report) {
  static char buffer[65536];
  for (;;) {
    struct sockaddr_nl source;
    struct iovec vector = {buffer, sizeof(buffer)};
    struct msghdr datagram = {
        .msg_name = &source, .msg_namelen = sizeof(source), .msg_iov = &vector, .msg_iovlen = 1};
    ssize_t length = recvmsg(fd, &datagram, MSG_DONTWAIT);
    if (length < 0) {
      if (errno == EAGAIN) return;
      if (errno == EINTR) continue;
      if (errno != ENOBUFS) err(1, "recvmsg");
      report->overruns++;
      continue;
    }
    if (kernel_only && source.nl_pid != 0) {
      report->rejected++;
      continue;
    }
    if (report->first == 0) report->first = nanoseconds();
    int left = (int)length;
    for (struct nlmsghdr* message = (struct nlmsghdr*)buffer; NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      report->received++;
    }
  }
}

int main(int argc, char** argv) {
  if (argc < 4) errx(2, "usage: recvmsg BYTES GROUPS kernel|any");
  kernel_only = strcmp(argv[3], "kernel") == 0;
  struct report report = {0};
  run_listener(open_listener(atoi(argv[1]), strtoul(argv[2], NULL, 0)), drain, &report);
  return 0;
}
