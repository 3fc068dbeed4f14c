// Preloaded into programs that only use SO_RCVBUF: gives their netlink sockets the same receive
// buffer as the others, BENCH_RCVBUF bytes, beyond net.core.rmem_max if permitted.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>

int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  int (*next)(int, int, int, const void*, socklen_t) =
      (int (*)(int, int, int, const void*, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
  const char* wanted = getenv("BENCH_RCVBUF");
  int domain = 0;
  socklen_t size = sizeof(domain);
  if (level != SOL_SOCKET || name != SO_RCVBUF || wanted == NULL ||
      getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_NETLINK) {
    return next(fd, level, name, value, length);
  }
  int bytes = atoi(wanted);
  if (next(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0) return 0;
  return next(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}
