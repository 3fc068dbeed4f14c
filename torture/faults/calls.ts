/**
 * The system calls of the addon, and the errors each can return: the table of faults to inject.
 * Sources: section 2 of the manual pages (Linux man-pages 6.03), netlink(7), socket(7).
 * @module
 */

/** The expected outcome of an error. */
export type Outcome =
  /** A SystemError with that code, the name of the call and a message. */
  | 'error'
  /** The call is retried transparently. */
  | 'again'
  /** Nothing can be done about it, and nothing was lost: it is ignored. */
  | 'ignored'
  /** Events were lost: this is reported with the code, and receiving continues. */
  | 'loss';

export interface Call {
  /** The C library function, as imported by the addon. */
  readonly name: string;
  /** The system call, as named in a SystemError. */
  readonly syscall: string;
  /** Error names, separated by spaces. */
  readonly errors: string;
  /** Outcomes other than `error`. */
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
  { name: 'eventfd', syscall: 'eventfd', errors: 'EINVAL EMFILE ENFILE ENODEV ENOMEM' },
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

/** Calls that libuv makes for the addon, by libuv function. */
export const THROUGH_LIBUV: Readonly<Record<string, readonly Call[]>> = {
  uv_thread_create: [
    { name: 'pthread_create', syscall: 'pthread_create', errors: 'EAGAIN EINVAL EPERM' },
  ],
  // It checks whether the descriptor can be watched (libuv src/unix/linux, uv__io_check_fd).
  uv_poll_init: [
    { name: 'epoll_ctl', syscall: 'epoll_ctl', errors: 'EBADF EINVAL ELOOP ENOENT ENOMEM ENOSPC' },
  ],
  // These only queue work for the loop. Its later epoll_ctl must not fail: libuv would abort.
  uv_poll_start: [],
  uv_poll_stop: [],
  uv_close: [],
  uv_is_closing: [],
  uv_ref: [],
  uv_unref: [],
  uv_thread_join: [],
};

/** C library functions that make no system call that can fail, or whose failure does not matter. */
export const NO_CALLS: readonly string[] = [
  '__errno_location',
  'explicit_bzero',
  // Advice, which older kernels do not support.
  'madvise',
  'memcpy',
  'memmove',
  'memset',
  // Of the thread that reads ahead: a name, a mask, and eventfds that are its own. If `poll` fails for
  // want of memory, it reads without waiting.
  'poll',
  'prctl',
  'read',
  'sigfillset',
  'sigprocmask',
  'write',
  'strlen',
  'sysconf',
];

/** All calls. */
export const ALL_CALLS: readonly Call[] = [...CALLS, ...Object.values(THROUGH_LIBUV).flat()];

/** The expected outcome of an error of a call. */
export const outcomeOf = ({ others = {} }: Call, error: string): Outcome =>
  others[error] ?? 'error';
