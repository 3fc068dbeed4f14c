// The load generator.
//
//   load policy EVENTS [RATE]        policies added and deleted, 16 after 16
//   load sa EVENTS [RATE]            SAs (ESP, AES-GCM) added and deleted, likewise
//   load forge FILE EVENTS [RATE]    multicasts of the message in FILE (hexadecimal digits), as the
//                                    kernel sends them but for the source port
//   load forge-updates FILE EVENTS [RATE]
//                                    the same, but each SA is added once, then updated: another
//                                    limit
//   load larval EVENTS MICROSECONDS  larval SAs deleted, one each so many microseconds; the
//                                    sequence number is the clock before the system call
//
// RATE is in events per second; without it, as fast as the kernel accepts them. Prints the number
// of events and the duration in nanoseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

// Requests per datagram: one system call per request would dominate the measurement.
enum { BATCH = 32, PAIRS = BATCH / 2 };

static int fd;
static char memory[65536];
static size_t used;

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void open_socket(void) {
  fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
  struct sockaddr_nl self = {.nl_family = AF_NETLINK};
  if (fd < 0 || bind(fd, (struct sockaddr*)&self, sizeof(self)) < 0) err(1, "NETLINK_XFRM");
}

// Appends a message of `size` bytes with a zero payload to the send buffer.
static void* request(uint16_t type, uint16_t flags, uint32_t seq, size_t size) {
  struct nlmsghdr* header = (struct nlmsghdr*)(memory + used);
  memset(header, 0, NLMSG_SPACE(size));
  header->nlmsg_len = NLMSG_LENGTH(size);
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST | flags;
  header->nlmsg_seq = seq;
  used += NLMSG_SPACE(size);
  return NLMSG_DATA(header);
}

// Writes an attribute after the fixed part of a request.
static void attribute(void* at, uint16_t type, const void* payload, size_t size) {
  struct nlattr head = {.nla_len = NLA_HDRLEN + size, .nla_type = type};
  memcpy(at, &head, sizeof(head));
  memcpy((char*)at + NLA_HDRLEN, payload, size);
}

static void send_requests(void) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  ssize_t sent = sendto(fd, memory, used, 0, (struct sockaddr*)&kernel, sizeof(kernel));
  if (sent < 0) err(1, "sendto");
  used = 0;
}

// Exits if the kernel rejected anything: only errors are acknowledged.
static void check_refusals(void) {
  char buffer[8192];
  ssize_t length = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
  if (length < 0 && errno == EAGAIN) return;
  if (length < 0) err(1, "recv");
  struct nlmsghdr* header = (struct nlmsghdr*)buffer;
  if (header->nlmsg_type != NLMSG_ERROR) errx(1, "an answer of type %d", header->nlmsg_type);
  errno = -((struct nlmsgerr*)NLMSG_DATA(header))->error;
  err(1, "the kernel refused a request");
}

// Waits until `made` events are due.
static void pace(uint64_t begun, uint64_t made, double rate) {
  if (rate <= 0) return;
  uint64_t due = begun + (uint64_t)((double)made / rate * 1e9);
  struct timespec until = {.tv_sec = due / 1000000000u, .tv_nsec = due % 1000000000u};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

// 10.x.y.z: a different address for each of 2^24 numbers.
static uint32_t host(uint32_t i) { return htonl(0x0a000000u | (i & 0xffffffu)); }
// Endpoints of 16 tunnels.
static uint32_t left(uint32_t i) { return htonl(0xc0000201u + (i & 15)); }
static uint32_t right(uint32_t i) { return htonl(0xc6336401u + (i & 15)); }

static void select_hosts(struct xfrm_selector* selector, uint32_t i) {
  selector->saddr.a4 = host(i);
  selector->daddr.a4 = host(~i);
  selector->prefixlen_s = selector->prefixlen_d = 32;
  selector->family = AF_INET;
}

static void unlimited(struct xfrm_lifetime_cfg* lifetime) {
  lifetime->soft_byte_limit = lifetime->hard_byte_limit = XFRM_INF;
  lifetime->soft_packet_limit = lifetime->hard_packet_limit = XFRM_INF;
}

static void add_policy(uint32_t i) {
  struct xfrm_user_tmpl template = {
      .id = {.daddr.a4 = right(i), .proto = IPPROTO_ESP},
      .family = AF_INET,
      .saddr.a4 = left(i),
      .reqid = 1 + (i & 15),
      .mode = XFRM_MODE_TUNNEL,
      .aalgos = ~0u,
      .ealgos = ~0u,
      .calgos = ~0u,
  };
  struct xfrm_userpolicy_info* info = request(XFRM_MSG_NEWPOLICY, NLM_F_CREATE | NLM_F_EXCL, i,
                                              sizeof(*info) + NLA_HDRLEN + sizeof(template));
  select_hosts(&info->sel, i);
  unlimited(&info->lft);
  info->priority = 1000;
  info->dir = XFRM_POLICY_OUT;
  attribute(info + 1, XFRMA_TMPL, &template, sizeof(template));
}

static void delete_policy(uint32_t i) {
  struct xfrm_userpolicy_id* id = request(XFRM_MSG_DELPOLICY, 0, i, sizeof(*id));
  select_hosts(&id->sel, i);
  id->dir = XFRM_POLICY_OUT;
}

static void add_state(uint32_t i) {
  struct {
    struct xfrm_algo_aead aead;
    char key[20];
  } algorithm = {.aead = {.alg_name = "rfc4106(gcm(aes))", .alg_key_len = 160, .alg_icv_len = 128}};
  memcpy(algorithm.key, &i, sizeof(i));
  struct xfrm_usersa_info* info = request(XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, i,
                                          sizeof(*info) + NLA_HDRLEN + sizeof(algorithm));
  info->id.daddr.a4 = right(i);
  info->id.spi = htonl(0x1000 + i);
  info->id.proto = IPPROTO_ESP;
  info->saddr.a4 = left(i);
  unlimited(&info->lft);
  info->reqid = 1 + (i & 15);
  info->family = AF_INET;
  info->mode = XFRM_MODE_TUNNEL;
  info->replay_window = 32;
  attribute(info + 1, XFRMA_ALG_AEAD, &algorithm, sizeof(algorithm));
}

static void delete_state(uint32_t i, uint32_t seq) {
  struct xfrm_usersa_id* id = request(XFRM_MSG_DELSA, 0, seq, sizeof(*id));
  id->daddr.a4 = right(i);
  id->spi = htonl(0x1000 + i);
  id->family = AF_INET;
  id->proto = IPPROTO_ESP;
}

static void pairs(uint64_t events, double rate, void (*add)(uint32_t), void (*undo)(uint32_t)) {
  uint64_t begun = nanoseconds();
  uint32_t next = 0;
  for (uint64_t made = 0; made < events;) {
    pace(begun, made, rate);
    uint32_t some = (events - made) / 2 < PAIRS ? (uint32_t)((events - made) / 2) : PAIRS;
    for (uint32_t i = 0; i < some; i++) add(next + i);
    for (uint32_t i = 0; i < some; i++) undo(next + i);
    send_requests();
    next += some;
    made += 2 * some;
  }
  check_refusals();
}

static void undo_state(uint32_t i) { delete_state(i, i); }

static void larval(uint64_t events, uint64_t microseconds) {
  uint64_t begun = nanoseconds();
  for (uint64_t i = 0; i < events; i++) {
    pace(begun, i, 1e6 / (double)microseconds);
    struct xfrm_userspi_info* wanted = request(XFRM_MSG_ALLOCSPI, 0, 0, sizeof(*wanted));
    wanted->info.id.daddr.a4 = right(i);
    wanted->info.id.proto = IPPROTO_ESP;
    wanted->info.saddr.a4 = left(i);
    wanted->info.family = AF_INET;
    wanted->info.mode = XFRM_MODE_TUNNEL;
    wanted->min = wanted->max = 0x1000 + i;
    send_requests();
    char answer[8192];
    if (recv(fd, answer, sizeof(answer), 0) < 0) err(1, "recv");
    struct nlmsghdr* header = (struct nlmsghdr*)answer;
    if (header->nlmsg_type != XFRM_MSG_NEWSA) errx(1, "no SPI: answer %d", header->nlmsg_type);
    delete_state(i, 0);
    ((struct nlmsghdr*)memory)->nlmsg_seq = (uint32_t)nanoseconds();
    send_requests();
  }
  check_refusals();
}

// Datagrams per call of sendmmsg.
enum { FORGED = 64 };

static void forge(const char* path, uint64_t events, double rate, bool updates) {
  static unsigned char copies[FORGED][4096];
  struct iovec vectors[FORGED];
  struct mmsghdr datagrams[FORGED];
  struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1 << (XFRMNLGRP_SA - 1)};
  FILE* file = fopen(path, "r");
  if (file == NULL) err(1, "%s", path);
  size_t size = 0;
  unsigned int byte;
  while (size < sizeof(copies[0]) && fscanf(file, "%2x", &byte) == 1) copies[0][size++] = byte;
  fclose(file);
  struct nlmsghdr* first = (struct nlmsghdr*)copies[0];
  if (size < NLMSG_LENGTH(sizeof(struct xfrm_usersa_info)) || first->nlmsg_len != size ||
      first->nlmsg_type != XFRM_MSG_NEWSA) {
    errx(1, "%s is no NEWSA", path);
  }
  for (int i = 0; i < FORGED; i++) {
    if (i > 0) memcpy(copies[i], copies[0], size);
    vectors[i] = (struct iovec){copies[i], size};
    datagrams[i].msg_hdr = (struct msghdr){
        .msg_name = &group, .msg_namelen = sizeof(group), .msg_iov = &vectors[i], .msg_iovlen = 1};
  }
  uint64_t begun = nanoseconds();
  for (uint64_t made = 0; made < events;) {
    pace(begun, made, rate);
    int some = events - made < FORGED ? (int)(events - made) : FORGED;
    for (int i = 0; i < some; i++) {
      struct nlmsghdr* header = (struct nlmsghdr*)copies[i];
      struct xfrm_usersa_info* info = NLMSG_DATA(header);
      header->nlmsg_seq = (uint32_t)(made + i);
      info->id.daddr.a4 = right(made + i);
      info->saddr.a4 = left(made + i);
      // As many SAs as a large gateway has, each reported many times.
      info->id.spi = htonl(0x1000 + (uint32_t)((made + i) & 4095));
      if (!updates) continue;
      uint64_t before = (made + i) >> 12;
      header->nlmsg_type = before == 0 ? XFRM_MSG_NEWSA : XFRM_MSG_UPDSA;
      info->lft.soft_packet_limit = before % 2 == 0 ? XFRM_INF : 1000000;
    }
    for (int done = 0; done < some;) {
      int sent = sendmmsg(fd, datagrams + done, some - done, 0);
      // The group is served before port ID 0, where NETLINK_XFRM's own messages go: the kernel
      // sees a message without NLM_F_REQUEST there, and ignores it.
      if (sent < 0) err(1, "sendmmsg");
      done += sent;
    }
    made += some;
  }
}

int main(int argc, char** argv) {
  if (argc < 3)
    errx(2,
         "usage: load policy|sa EVENTS [RATE] | forge|forge-updates FILE EVENTS [RATE] | larval "
         "EVENTS US");
  open_socket();
  uint64_t begun = nanoseconds();
  const char* kind = argv[1];
  if (strcmp(kind, "policy") == 0) {
    pairs(strtoull(argv[2], NULL, 10), argc > 3 ? atof(argv[3]) : 0, add_policy, delete_policy);
  } else if (strcmp(kind, "sa") == 0) {
    pairs(strtoull(argv[2], NULL, 10), argc > 3 ? atof(argv[3]) : 0, add_state, undo_state);
  } else if (strcmp(kind, "forge") == 0 && argc > 3) {
    forge(argv[2], strtoull(argv[3], NULL, 10), argc > 4 ? atof(argv[4]) : 0, false);
  } else if (strcmp(kind, "forge-updates") == 0 && argc > 3) {
    forge(argv[2], strtoull(argv[3], NULL, 10), argc > 4 ? atof(argv[4]) : 0, true);
  } else if (strcmp(kind, "larval") == 0 && argc > 3) {
    larval(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
  } else {
    errx(2, "%s: no such load", kind);
  }
  printf("{\"nanoseconds\":%llu}\n", (unsigned long long)(nanoseconds() - begun));
  return 0;
}
