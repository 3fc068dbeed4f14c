/**
 * The system calls of the addon, and the errors each can return: the table the faults are taken
 * from. Sources: section 2 of the manual pages (Linux man-pages 6.03), netlink(7), socket(7).
 * @module
 */

/** What becomes of an error. */
export type Outcome =
  /** A SystemError with that code, the name of the call and a message. */
  | 'error'
  /** The call is made again, and nobody notices. */
  | 'again'
  /** There is nothing to do about it, and nothing was lost: it is passed over. */
  | 'ignored'
  /** Events were lost: told as such, with the code, and receiving goes on. */
  | 'loss';

export interface Call {
  /** The C library's function, as the addon imports it. */
  readonly name: string;
  /** The system call, as a SystemError names it. */
  readonly syscall: string;
  /** Errors by their names, separated by blanks. */
  readonly errors: string;
  /** What becomes of those that do not end in an error. */
  readonly others?: Readonly<Record<string, Outcome>>;
}

const AGAIN = { EINTR: 'again' } as const;

export const CALLS: readonly Call[] = [
  {
    name: 'socket',
    syscall: 'socket',
    errors: 'EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT',
  },
  { name: 'bind', syscall: 'bind', errors: 'EACCES EADDRINUSE EBADF EINVAL ENOMEM ENOTSOCK EPERM' },
  {
    name: 'connect',
    syscall: 'connect',
    errors:
      'EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNREFUSED EFAULT ' +
      'EINPROGRESS EINTR EISCONN ENETUNREACH ENOTSOCK EPERM EPROTOTYPE ETIMEDOUT',
    others: AGAIN,
  },
  { name: 'getsockname', syscall: 'getsockname', errors: 'EBADF EFAULT EINVAL ENOBUFS ENOTSOCK' },
  {
    name: 'getpeername',
    syscall: 'getpeername',
    errors: 'EBADF EFAULT EINVAL ENOBUFS ENOTCONN ENOTSOCK',
  },
  {
    name: 'setsockopt',
    syscall: 'setsockopt',
    errors: 'EBADF EFAULT EINVAL ENOMEM ENOPROTOOPT ENOTSOCK EPERM',
  },
  {
    name: 'getsockopt',
    syscall: 'getsockopt',
    errors: 'EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK',
  },
  {
    name: 'sendto',
    syscall: 'sendto',
    errors:
      'EACCES EAGAIN EALREADY EBADF ECONNREFUSED ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL ' +
      'EISCONN EMSGSIZE ENOBUFS ENOMEM ENOTCONN ENOTSOCK EOPNOTSUPP EPERM EPIPE',
    others: AGAIN,
  },
  {
    name: 'recvmmsg',
    syscall: 'recvmmsg',
    errors:
      'EAGAIN EBADF ECONNREFUSED EFAULT EINTR EINVAL EMSGSIZE ENOBUFS ENOMEM ENOTCONN ENOTSOCK',
    others: { ...AGAIN, EAGAIN: 'ignored', ENOBUFS: 'loss', ENOMEM: 'loss', EMSGSIZE: 'loss' },
  },
  { name: 'setns', syscall: 'setns', errors: 'EBADF EINVAL ENOMEM EPERM ESRCH' },
  { name: 'unshare', syscall: 'unshare', errors: 'EINVAL ENOMEM ENOSPC EPERM' },
  {
    name: 'open64',
    syscall: 'open',
    errors:
      'EACCES EBUSY EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM ' +
      'ENOTDIR ENXIO EOVERFLOW EPERM ETXTBSY',
    others: AGAIN,
  },
  {
    name: 'close',
    syscall: 'close',
    errors: 'EBADF EDQUOT EINTR EIO ENOSPC',
    // Linux has closed the descriptor in any case (close(2), NOTES).
    others: {
      EBADF: 'ignored',
      EDQUOT: 'ignored',
      EINTR: 'ignored',
      EIO: 'ignored',
      ENOSPC: 'ignored',
    },
  },
  {
    name: 'mmap64',
    syscall: 'mmap',
    errors: 'EACCES EAGAIN EBADF EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM',
  },
  { name: 'munmap', syscall: 'munmap', errors: 'EINVAL', others: { EINVAL: 'ignored' } },
];

/** What libuv does for the addon, by the function of libuv that does it. */
export const THROUGH_LIBUV: Readonly<Record<string, readonly Call[]>> = {
  uv_thread_create: [
    { name: 'pthread_create', syscall: 'pthread_create', errors: 'EAGAIN EINVAL EPERM' },
  ],
  // It tries whether the descriptor can be watched (libuv src/unix/linux, uv__io_check_fd).
  uv_poll_init: [
    { name: 'epoll_ctl', syscall: 'epoll_ctl', errors: 'EBADF EINVAL ELOOP ENOENT ENOMEM ENOSPC' },
  ],
  // These only note what the loop is to do. The epoll_ctl it then makes may not fail: libuv aborts.
  uv_poll_start: [],
  uv_poll_stop: [],
  uv_close: [],
  uv_is_closing: [],
  uv_ref: [],
  uv_unref: [],
  uv_thread_join: [],
};

/** Functions of the C library that make no system call that can fail, or whose failure says nothing. */
export const NO_CALLS: readonly string[] = [
  '__errno_location',
  'explicit_bzero',
  // Advice, which older kernels do not take.
  'madvise',
  'memcpy',
  'memmove',
  'memset',
  'strlen',
  'sysconf',
];

/** All of them. */
export const ALL_CALLS: readonly Call[] = [...CALLS, ...Object.values(THROUGH_LIBUV).flat()];

/** What becomes of an error of a call. */
export const outcomeOf = ({ others = {} }: Call, error: string): Outcome =>
  others[error] ?? 'error';
