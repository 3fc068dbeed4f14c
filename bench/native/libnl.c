// libnl-xfrm: libnl receives and checks, and its parser creates an object for each event.
//
//   libnl BYTES GROUPS kernel|any
#include <err.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <netlink/xfrm/sa.h>
#include <netlink/xfrm/sp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "listener.h"

static bool kernel_only;
static struct nl_sock* sock;

static int on_message(struct nl_msg* message, void* argument) {
  struct report* report = argument;
  if (kernel_only && nlmsg_get_src(message)->nl_pid != 0) {
    report->rejected++;
    return NL_SKIP;
  }
  if (report->first == 0) report->first = nanoseconds();
  struct nlmsghdr* header = nlmsg_hdr(message);
  int status = -NLE_MSGTYPE_NOSUPPORT;
  switch (header->nlmsg_type) {
    case XFRM_MSG_NEWSA:
    case XFRM_MSG_UPDSA:
    case XFRM_MSG_DELSA:
    case XFRM_MSG_EXPIRE: {
      struct xfrmnl_sa* state = NULL;
      status = xfrmnl_sa_parse(header, &state);
      if (status >= 0) xfrmnl_sa_put(state);
      break;
    }
    case XFRM_MSG_NEWPOLICY:
    case XFRM_MSG_UPDPOLICY:
    case XFRM_MSG_DELPOLICY: {
      struct xfrmnl_sp* policy = NULL;
      status = xfrmnl_sp_parse(header, &policy);
      if (status >= 0) xfrmnl_sp_put(policy);
      break;
    }
    default:
  }
  if (status < 0) errx(1, "message %d: %s", header->nlmsg_type, nl_geterror(status));
  report->received++;
  return NL_OK;
}

static void drain(int fd, struct report* report) {
  (void)fd;
  (void)report;
  for (;;) {
    int status = nl_recvmsgs_default(sock);
    if (status == -NLE_AGAIN) return;
    // libnl's code for ENOBUFS.
    if (status == -NLE_NOMEM)
      report->overruns++;
    else if (status < 0)
      errx(1, "nl_recvmsgs: %s", nl_geterror(status));
  }
}

int main(int argc, char** argv) {
  if (argc < 4) errx(2, "usage: libnl BYTES GROUPS kernel|any");
  int size = atoi(argv[1]);
  kernel_only = strcmp(argv[3], "kernel") == 0;
  sock = nl_socket_alloc();
  if (sock == NULL) errx(1, "nl_socket_alloc");
  nl_socket_disable_seq_check(sock);
  nl_join_groups(sock, strtoul(argv[2], NULL, 0));
  int status = nl_connect(sock, NETLINK_XFRM);
  if (status < 0) errx(1, "nl_connect: %s", nl_geterror(status));
  nl_socket_set_nonblocking(sock);
  int fd = nl_socket_get_fd(sock);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0) {
    err(1, "setsockopt");
  }
  struct report report = {0};
  nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, &report);
  run_listener(fd, drain, &report);
  return 0;
}
