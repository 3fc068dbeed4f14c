/**
 * The guest's process 1, a script for the static busybox that came with the kernel. Nothing of the
 * host's userland is needed to set the guest up, only for the command itself.
 *
 * Its lines to the host are terminal lines of the guest kernel, each joined to one file descriptor
 * of its process (run.ts): tty1 the command's stdout, tty2 its stderr, tty3 control, tty4 stdin. In
 * raw mode they carry every byte unchanged.
 */

/** What the script is made of. */
export interface GuestPlan {
  /** Directory with `busybox` and `modprobe`, on the host and, by hostfs, in the guest. */
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
  /** Whether tty4 carries standard input. */
  readonly stdin: boolean;
}

/**
 * Loaded at the start, as no system call asks for some of them by name. Crypto algorithms come when
 * they are first used, by the kernel's own request. One that is built in or missing is passed over.
 */
const MODULES = [
  'overlay',
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
];

/**
 * Makes tty4 a line that can say "end of file"; its other half is stdin.ts. It stays open from
 * before `ready` on: what comes while a line is closed is not noticed when it is opened.
 */
const INPUT_LINE = `exec 7</dev/tty4
stty -F /dev/tty4 raw -echo icanon iexten -imaxbel eof ^D lnext ^V \\
  erase undef kill undef werase undef rprnt undef eol undef eol2 undef`;

/** The copier for standard input; nothing but it and the command may hold the pipe's ends. */
const INPUT_PIPE = `exec 3<>/run/lab/in 4>/run/lab/in
{
  # A piece at a time, told to the host: stdin.ts says why. dd says "0+0 records in" at the end.
  while :; do
    case $($run/busybox dd bs=4096 count=1 2>&1 >&4 <&7) in 0+1*) say taken ;; *) break ;; esac
  done
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

for line in 1 2 3; do stty -F /dev/tty$line raw -echo; done
${plan.stdin ? INPUT_LINE : ''}
exec 8<>/dev/tty3
say() { echo "$*" >&8; }

modprobe_proc() { [ -e "$kernel/proc/modules" ] || mount -t proc proc "$kernel/proc"; }
modprobe_proc
load() { chroot "$kernel" /bin/busybox modprobe -q "$1" 2>/dev/null; }
load overlay

mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lab /run/netns /run/lock
mount -t tmpfs -o mode=700 lab /run/lab

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
  mkdir -p "$1" && mount -t hostfs -o "ro,$1" keep "$1"
}
${plan.keep.map((path) => `keep ${quote(path)}`).join('\n')}
if [ -n "$share" ]; then
  mkdir -p "$share" 2>/dev/null
  mount -t hostfs -o "$share" share "$share" || { say error share; poweroff -f; }
fi

modprobe_proc
echo "$run/modprobe" >/proc/sys/kernel/modprobe
for name in ${MODULES.slice(1).join(' ')}; do load $name; done
hostname lab
ifconfig lo 127.0.0.1 up

cd "$cwd" || { say error cwd; poweroff -f; }
mkfifo /run/lab/out /run/lab/err /run/lab/in
# Not cat: busybox's uses sendfile(2), which holds a pipe's lock while it waits for a terminal, and
# then the process at the pipe's other end cannot even exit (seen with 6.1.176).
# By its path, so that it is executed: as the shell's own it would keep the shell's other ends open.
copy="$run/busybox dd bs=65536"
# Each pipe is opened here for both directions first: to open one end alone waits for the other, and
# this shell's open(2) fails when a child ends meanwhile. A copier keeps only what it needs.
exec 3<>/run/lab/out 4</run/lab/out
$copy <&4 >/dev/tty1 2>/dev/null 3<&- 4<&- & out=$!
exec 5>/run/lab/out 3<&- 4<&-
exec 3<>/run/lab/err 4</run/lab/err
$copy <&4 >/dev/tty2 2>/dev/null 3<&- 4<&- 5>&- & err=$!
exec 6>/run/lab/err 3<&- 4<&-
${plan.stdin ? INPUT_PIPE : 'exec 9</dev/null'}
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
  case $pid in 1 | $out | $err | $control) continue ;; esac
  # Kernel threads have no program.
  [ -e $entry/exe ] && kill -KILL $pid 2>/dev/null
done
wait $out $err
# stty sets a line's mode once all that was written to it has gone out to the host.
stty -F /dev/tty1 raw -echo
stty -F /dev/tty2 raw -echo
say exit $status
stty -F /dev/tty3 raw -echo
poweroff -f
`;
}
