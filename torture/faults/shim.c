/*
 * Makes a given system call of the addon fail a given number of times; all other calls pass. Loaded
 * before the C library (LD_PRELOAD); controlled through a file that both sides map.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The control file, written and read by torture/faults/injection.ts. */
struct orders {
  char name[32]; /* the function; empty for none */
  int32_t error;
  int32_t skip;  /* calls that pass before */
  int32_t times; /* calls that fail then */
  int32_t hits;  /* calls that failed */
};

static struct orders* orders;

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("NETLINK_XFRM_FAULTS");
  if (path == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* memory = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (memory == MAP_FAILED) abort();
  orders = memory;
}

/* Whether an address is in the addon's code, or (for what libuv does for it) in Node's own. */
static int ours(const void* caller, const char* name) {
  Dl_info info;
  if (strcmp(name, "epoll_ctl") == 0 || strcmp(name, "pthread_create") == 0) return 1;
  return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "netlink.node") != NULL;
}

static int fails(const char* name, const void* caller) {
  if (orders == NULL || orders->times <= 0 || strcmp(orders->name, name) != 0) return 0;
  if (!ours(caller, name)) return 0;
  if (orders->skip > 0) {
    orders->skip--;
    return 0;
  }
  orders->times--;
  orders->hits++;
  errno = orders->error;
  return 1;
}

#define FAILS(name) fails(name, __builtin_return_address(0))

int socket(int domain, int type, int protocol) {
  if (FAILS("socket")) return -1;
  return syscall(SYS_socket, domain, type, protocol);
}

int bind(int fd, const struct sockaddr* address, socklen_t length) {
  if (FAILS("bind")) return -1;
  return syscall(SYS_bind, fd, address, length);
}

int connect(int fd, const struct sockaddr* address, socklen_t length) {
  if (FAILS("connect")) return -1;
  return syscall(SYS_connect, fd, address, length);
}

int getsockname(int fd, struct sockaddr* address, socklen_t* length) {
  if (FAILS("getsockname")) return -1;
  return syscall(SYS_getsockname, fd, address, length);
}

int getpeername(int fd, struct sockaddr* address, socklen_t* length) {
  if (FAILS("getpeername")) return -1;
  return syscall(SYS_getpeername, fd, address, length);
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  if (FAILS("setsockopt")) return -1;
  return syscall(SYS_setsockopt, fd, level, name, value, length);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  if (FAILS("getsockopt")) return -1;
  return syscall(SYS_getsockopt, fd, level, name, value, length);
}

ssize_t sendto(int fd, const void* bytes, size_t length, int flags, const struct sockaddr* address,
               socklen_t size) {
  if (FAILS("sendto")) return -1;
  return syscall(SYS_sendto, fd, bytes, length, flags, address, size);
}

int recvmmsg(int fd, struct mmsghdr* headers, unsigned int count, int flags,
             struct timespec* timeout) {
  if (FAILS("recvmmsg")) return -1;
  return syscall(SYS_recvmmsg, fd, headers, count, flags, timeout);
}

int eventfd(unsigned int count, int flags) {
  if (FAILS("eventfd")) return -1;
  return syscall(SYS_eventfd2, count, flags);
}

int setns(int fd, int type) {
  if (FAILS("setns")) return -1;
  return syscall(SYS_setns, fd, type);
}

int unshare(int flags) {
  if (FAILS("unshare")) return -1;
  return syscall(SYS_unshare, flags);
}

int open64(const char* path, int flags, ...) {
  __builtin_va_list more;
  __builtin_va_start(more, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? __builtin_va_arg(more, int) : 0;
  __builtin_va_end(more);
  if (FAILS("open64")) return -1;
  return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* Linux closes the descriptor even on failure (close(2)). */
int close(int fd) {
  int failed = FAILS("close");
  int error = errno;
  int result = syscall(SYS_close, fd);
  if (!failed) return result;
  errno = error;
  return -1;
}

void* mmap64(void* at, size_t length, int protection, int flags, int fd, off_t offset) {
  if (FAILS("mmap64")) return MAP_FAILED;
  return (void*)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

int munmap(void* at, size_t length) {
  int failed = FAILS("munmap");
  int error = errno;
  int result = syscall(SYS_munmap, at, length);
  if (!failed) return result;
  errno = error;
  return -1;
}

/*
 * Only libuv's check whether a descriptor can be watched (uv__io_check_fd), whose event data is -1
 * in place of a descriptor: libuv aborts the process if the loop itself cannot watch.
 */
int epoll_ctl(int fd, int operation, int watched, struct epoll_event* event) {
  if (operation == EPOLL_CTL_ADD && event->data.fd == -1 && FAILS("epoll_ctl")) return -1;
  return syscall(SYS_epoll_ctl, fd, operation, watched, event);
}

/* Returns the error, as the C library does. */
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* data) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (FAILS("pthread_create")) return errno;
  if (real == NULL) {
    void* symbol = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real, &symbol, sizeof(real));
  }
  return real(thread, attributes, run, data);
}
