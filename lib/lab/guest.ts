/**
 * The guest's process 1, a script for the static busybox that came with the kernel. Nothing of the
 * host's userland is needed to set the guest up, only for the command itself.
 */
import { NINE_P } from './initramfs.ts';
import type { KernelKind } from './kernel.ts';

/** What the script is made of. */
export interface GuestPlan {
  readonly kind: KernelKind;
  /** Directory with `busybox` and `modprobe`, at the same path on the host and in the guest. */
  readonly run: string;
  /** The kernel's directory: the root that busybox's modprobe works in. */
  readonly kernel: string;
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Host directory to mount writable, or empty. */
  readonly share: string;
  /** Host paths that must stay visible when /tmp and its like are covered. */
  readonly keep: readonly string[];
  /** Whether there is a line for standard input. */
  readonly stdin: boolean;
}

/**
 * Loaded at the start, as no system call asks for some of them by name. Crypto algorithms come when
 * they are first used, by the kernel's own request. One that is built in or missing is passed over.
 */
const MODULES: Record<KernelKind, readonly string[]> = {
  // The kernel asks for all but these itself, and to load one takes an emulated processor long.
  full: ['xfrm_user', 'nlmon'],
  'user-mode': [
    'veth',
    'ipv6',
    'xfrm_user',
    'esp4',
    'esp6',
    'ah4',
    'ah6',
    'ipcomp',
    'ipcomp6',
    'nlmon',
    'authenc',
    'gcm',
    'cbc',
    'ctr',
    'seqiv',
    'echainiv',
    'hmac',
    'chacha20poly1305',
    'drbg',
  ],
};

/** What differs between the kinds of kernels, as parts of the script. */
interface Parts {
  /**
   * Names the lines to the host, each a file that carries every byte unchanged: $out_line,
   * $err_line, $control_line.
   */
  readonly lines: string;
  /** Opens the line of standard input as descriptor 7. */
  readonly openInput: string;
  /** Copies descriptor 7 to descriptor 4, a pipe, until standard input ends. */
  readonly copyInput: string;
  /** Starts what counts the copied bytes, as $count_out and $count_err, where `end` needs them. */
  readonly count: string;
  /** The applet that copies stdin to stdout, for one of the outputs. */
  readonly copyOutput: (name: 'out' | 'err') => string;
  /** Mounts the host's directory $1 as the host has it, read-only. */
  readonly mountHost: string;
  /** Mounts the share $1, writable. */
  readonly mountShare: string;
  /** Tells the status when all that the command wrote has reached the host, and ends the guest. */
  readonly end: string;
}

/**
 * The lines of a user-mode kernel are terminals, each joined to a file descriptor of the kernel's
 * process: tty1 the command's stdout, tty2 its stderr, tty3 control, tty4 stdin.
 */
const USER_MODE: Parts = {
  lines: `out_line=/dev/tty1 err_line=/dev/tty2 control_line=/dev/tty3
for line in 1 2 3; do stty -F /dev/tty$line raw -echo; done`,
  // Makes tty4 a line that can say "end of file"; its other half is stdin.ts. It stays open from
  // before `ready` on: what comes while a line is closed is not noticed when it is opened.
  openInput: `exec 7</dev/tty4
stty -F /dev/tty4 raw -echo icanon iexten -imaxbel eof ^D lnext ^V \\
  erase undef kill undef werase undef rprnt undef eol undef eol2 undef`,
  // A piece at a time, told to the host: stdin.ts says why. dd says "0+0 records in" at the end.
  copyInput: `while :; do
    case $($run/busybox dd bs=4096 count=1 2>&1 >&4 <&7) in 0+1*) say taken ;; *) break ;; esac
  done`,
  count: 'count_out= count_err=',
  copyOutput: () => 'dd bs=65536',
  mountHost: 'mount -t hostfs -o "ro,$1" keep "$1"',
  mountShare: 'mount -t hostfs -o "$1" share "$1"',
  // stty sets a line's mode once all that was written to it has gone out to the host.
  end: `stty -F /dev/tty1 raw -echo
stty -F /dev/tty2 raw -echo
say exit $status
stty -F /dev/tty3 raw -echo
poweroff -f`,
};

/**
 * The lines of a full kernel are ports of a virtio console, known by their names (qemu.ts), which the host tells
 * after the driver is loaded.
 */
const FULL: Parts = {
  lines: `line() {
  until found=$(grep -slx $1 /sys/class/virtio-ports/*/name); do sleep 0.01; done
  echo "$found" | sed 's#/sys/class/virtio-ports#/dev#; s#/name##'
}
out_line=$(line out) err_line=$(line err) control_line=$(line control)`,
  openInput: 'exec 7<$(line input)',
  copyInput: '$run/busybox dd bs=4096 2>/dev/null >&4 <&7',
  count: `mkfifo /run/lab/out.copy /run/lab/err.copy
$run/busybox wc -c </run/lab/out.copy >/run/lab/out.sent & count_out=$!
$run/busybox wc -c </run/lab/err.copy >/run/lab/err.sent & count_err=$!`,
  copyOutput: (name) => `tee /run/lab/${name}.copy`,
  mountHost: 'mount --bind "/run/lab/host$1" "$1"',
  mountShare: `mount -t 9p -o ${NINE_P},cache=mmap share "$1"`,
  // A port takes what is written to it before the host has it: it ends the guest when it has all.
  end: `[ -z "$share" ] || umount "$share" 2>/dev/null
sync
say exit $status $(cat /run/lab/out.sent /run/lab/err.sent)
while :; do sleep 60; done`,
};

/** The copier for standard input; nothing but it and the command may hold the pipe's ends. */
const inputPipe = ({ copyInput }: Parts) => `exec 3<>/run/lab/in 4>/run/lab/in
{
  ${copyInput}
} 3<&- 5>&- 6>&- &
exec 9</run/lab/in 3<&- 4>&-`;

/** Quotes a word for a POSIX shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The kernel's helper for modules it wants: /proc/sys/kernel/modprobe takes a path alone. */
export function modprobeScript(plan: Pick<GuestPlan, 'run' | 'kernel'>): string {
  return `#!${plan.run}/busybox sh
exec chroot ${quote(plan.kernel)} /bin/busybox modprobe "$@"
`;
}

/**
 * Starts the command. In a file of its own because it runs in the foreground: a shell without job
 * control starts what it puts in the background with SIGINT and SIGQUIT ignored, for good.
 */
export function commandScript(plan: Pick<GuestPlan, 'run' | 'env' | 'command'>): string {
  const environment = Object.entries(plan.env).map(([name, value]) => quote(`${name}=${value}`));
  return `echo $$ >/run/lab/pid
exec setsid /usr/bin/env -i ${environment.join(' ')} ${plan.command.map(quote).join(' ')}
`;
}

export function initScript(plan: GuestPlan): string {
  const parts = plan.kind === 'full' ? FULL : USER_MODE;
  return `#!${plan.run}/busybox sh
# This shell finds its own commands (mount, cat, ...) in busybox, whatever PATH says; but it starts
# them by /proc/self/exe, which up to here is the host's, and so the guest kernel.
run=${quote(plan.run)} kernel=${quote(plan.kernel)} cwd=${quote(plan.cwd)} share=${quote(plan.share)}

$run/busybox mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/net
mount -t devpts -o ptmxmode=666,mode=620,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
[ -e /dev/net/tun ] || mknod -m 666 /dev/net/tun c 10 200

${parts.lines}
${plan.stdin ? parts.openInput : ''}
exec 8<>$control_line
say() { echo "$*" >&8; }

modprobe_proc() { [ -e "$kernel/proc/modules" ] || mount -t proc proc "$kernel/proc"; }
modprobe_proc
load() { chroot "$kernel" /bin/busybox modprobe -q "$1" 2>/dev/null; }
load overlay

mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lab /run/netns /run/lock
mount -t tmpfs -o mode=700 lab /run/lab
# The host's files as they are, whatever is mounted over them later.
mkdir /run/lab/host
mount --bind / /run/lab/host

# The host's files with a layer of the guest's own over them; an empty one where that fails.
cover() {
  [ -d "$1" ] || return
  upper=/run/lab/over$(echo "$1" | tr / -)
  mkdir -p -m 1777 $upper/files
  mkdir -p $upper/work
  mount -t overlay -o lowerdir="$1",upperdir=$upper/files,workdir=$upper/work over "$1" ||
    mount -t tmpfs -o mode=1777 over "$1"
}
cover /tmp
[ -L /var/tmp ] || cover /var/tmp
cover /mnt
# What the caller needs and lies below one of these is mounted there again if it is gone.
keep() {
  [ -e "$1" ] && return
  mkdir -p "$1" && ${parts.mountHost}
}
${plan.keep.map((path) => `keep ${quote(path)}`).join('\n')}
mount_share() { ${parts.mountShare}; }
if [ -n "$share" ]; then
  mkdir -p "$share" 2>/dev/null
  mount_share "$share" || { say error share; poweroff -f; }
fi

modprobe_proc
echo "$run/modprobe" >/proc/sys/kernel/modprobe
for name in ${MODULES[plan.kind].join(' ')}; do load $name; done
hostname lab
ifconfig lo 127.0.0.1 up

cd "$cwd" || { say error cwd; poweroff -f; }
mkfifo /run/lab/out /run/lab/err /run/lab/in
${parts.count}
# Not by cat: busybox's uses sendfile(2), which holds a pipe's lock while it waits for a terminal, and
# then the process at the pipe's other end cannot even exit (seen with 6.1.176).
# By its path, so that it is executed: as the shell's own it would keep the shell's other ends open.
# Each pipe is opened here for both directions first: to open one end alone waits for the other, and
# this shell's open(2) fails when a child ends meanwhile. A copier keeps only what it needs.
exec 3<>/run/lab/out 4</run/lab/out
$run/busybox ${parts.copyOutput('out')} <&4 >$out_line 2>/dev/null 3<&- 4<&- & out=$!
exec 5>/run/lab/out 3<&- 4<&-
exec 3<>/run/lab/err 4</run/lab/err
$run/busybox ${parts.copyOutput('err')} <&4 >$err_line 2>/dev/null 3<&- 4<&- 5>&- & err=$!
exec 6>/run/lab/err 3<&- 4<&-
${plan.stdin ? inputPipe(parts) : 'exec 9</dev/null'}
say ready
while read -r word name; do
  [ "$word" = signal ] || continue
  until [ -s /run/lab/pid ]; do sleep 0.01; done
  pid=$(cat /run/lab/pid)
  kill -s "$name" -- -$pid || kill -s "$name" $pid
done <&8 5>&- 6>&- 9<&- & control=$!
$run/busybox sh $run/command <&9 >&5 2>&6 5>&- 6>&- 7<&- 8>&- 9<&-
status=$?
exec 5>&- 6>&- 9<&-

# As when a container ends: whatever the command left running ends with it. Then the output ends.
for entry in /proc/[0-9]*; do
  pid=\${entry#/proc/}
  case $pid in 1 | $out | $err | $control | $count_out | $count_err) continue ;; esac
  # Kernel threads have no program.
  [ -e $entry/exe ] && kill -KILL $pid 2>/dev/null
done
wait $out $err $count_out $count_err
${parts.end}
`;
}
