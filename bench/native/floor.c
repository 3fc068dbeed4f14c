// The floor: the least work of a correct listener. It receives as many datagrams per call as pay,
// checks that the kernel is the sender, and walks the message headers.
//
//   floor BYTES GROUPS kernel|any [latency]
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "listener.h"

static bool kernel_only;
static bool latency;

// Datagrams per call, as in native/. A datagram of the kernel's takes at most a page here; room for
// larger ones costs nothing. The stride is no power of two, so that the datagrams do not all map to
// the same lines of a processor's cache.
enum { BATCH = 64, ROOM = 65536, STRIDE = ROOM + 320 };

static char memory[BATCH * STRIDE];
static struct mmsghdr datagrams[BATCH];
static struct sockaddr_nl sources[BATCH];
static struct iovec vectors[BATCH];

static void prepare(void) {
  for (int i = 0; i < BATCH; i++) {
    vectors[i] = (struct iovec){memory + (size_t)i * STRIDE, ROOM};
    datagrams[i].msg_hdr = (struct msghdr){.msg_name = &sources[i],
                                           .msg_namelen = sizeof(sources[i]),
                                           .msg_iov = &vectors[i],
                                           .msg_iovlen = 1};
  }
}

static void walk(int i, struct report* report) {
  if (kernel_only && sources[i].nl_pid != 0) {
    report->rejected++;
    return;
  }
  int left = (int)datagrams[i].msg_len;
  for (struct nlmsghdr* message = vectors[i].iov_base; NLMSG_OK(message, left);
       message = NLMSG_NEXT(message, left)) {
    report->received++;
    if (latency && message->nlmsg_type == XFRM_MSG_DELSA) note_latency(message->nlmsg_seq);
  }
}

static void drain(int fd, struct report* report) {
  int count;
  do {
    count = recvmmsg(fd, datagrams, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0) {
      if (errno == EAGAIN) return;
      if (errno != ENOBUFS && errno != EINTR) err(1, "recvmmsg");
      if (errno == ENOBUFS) report->overruns++;
      continue;
    }
    if (report->first == 0) report->first = nanoseconds();
    for (int i = 0; i < count; i++) walk(i, report);
    // Fewer than asked for: nothing was left, or an error that the next call returns.
  } while (count < 0 || count == BATCH);
}

int main(int argc, char** argv) {
  if (argc < 4) errx(2, "usage: floor BYTES GROUPS kernel|any [latency]");
  kernel_only = strcmp(argv[3], "kernel") == 0;
  latency = argc > 4;
  struct report report = {0};
  prepare();
  run_listener(open_listener(atoi(argv[1]), strtoul(argv[2], NULL, 0)), drain, &report);
  return 0;
}
