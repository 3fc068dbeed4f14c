/**
 * The guest's process 1, a script for the static busybox that comes with the kernel. Setting the guest up
 * needs nothing of the host's userland; only the command itself does.
 */
import { NINE_P } from './initramfs.ts';
import type { LabKernelKind } from './kernel.ts';
import { slotNumbers } from './lines.ts';
import { CONTROL_TERMINAL } from './user-mode.ts';

/** Parameters of the script. */
export interface GuestPlan {
  readonly kind: LabKernelKind;
  /** Directory with `busybox` and `modprobe`, at the same path on the host and in the guest. */
  readonly run: string;
  /** The kernel's directory: the root that busybox's modprobe works in. */
  readonly kernel: string;
  /** Host directory to mount writable, or empty. */
  readonly share: string;
  /** Host paths that must stay visible when /tmp and the like are covered. */
  readonly keep: readonly string[];
  /** Whether there are lines for standard input. */
  readonly stdin: boolean;
  /** How many commands can run concurrently. */
  readonly slots: number;
}

/** A command in the guest. */
export interface GuestCommand {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Modules loaded at start, since no system call requests some of them by name. Crypto algorithms are loaded on first
 * use, by the kernel itself. A module that is built in or missing is skipped.
 */
const MODULES: Record<LabKernelKind, readonly string[]> = {
  // The kernel requests all others by itself, and loading one is slow on an emulated processor.
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

/** What differs between the kinds of kernel, as parts of the script. */
interface Parts {
  /** Settings of the kernel. */
  readonly settings: string;
  /** Makes $control_line a file that carries every byte unchanged. */
  readonly control: string;
  /** Likewise for $out_line and $err_line of the slot $slot. */
  readonly lines: string;
  /** Opens the slot's line of standard input as descriptor 7. */
  readonly openInput: string;
  /** Copies descriptor 7 to descriptor 4, a pipe, until standard input ends. */
  readonly copyInput: string;
  /** Starts counting the copied bytes as $count_out and $count_err, if `told` needs them. */
  readonly count: string;
  /** The applet that copies stdin to stdout, for one of the outputs. */
  readonly copyOutput: (name: 'out' | 'err') => string;
  /** Mounts the host's directory $1 read-only, as it is on the host. */
  readonly mountHost: string;
  /** Mounts the share $1, writable. */
  readonly mountShare: string;
  /** Reports the status: once all output of the command has reached the host, or along with its size. */
  readonly told: string;
}

/**
 * The lines of a user-mode kernel are terminals, each connected to a file descriptor of the kernel's
 * process (user-mode.ts).
 */
const USER_MODE: Parts = {
  // The kernel panics when a process forks that has mapped the rings of io_uring, as Node 22 and later have (seen with
  // 6.12.113 and 7.2.7). Node does without where the kernel refuses them (Documentation/admin-guide/sysctl/kernel.rst).
  settings: `io_uring=/proc/sys/kernel/io_uring_disabled
[ ! -e $io_uring ] || echo 2 >$io_uring`,
  control: `control_line=/dev/tty${CONTROL_TERMINAL}
stty -F $control_line raw -echo`,
  lines: `out_line=/dev/tty$((slot * 3 + 2)) err_line=/dev/tty$((slot * 3 + 3))
  stty -F $out_line raw -echo
  stty -F $err_line raw -echo`,
  // Makes it a line that can signal end of file; stdin.ts is the counterpart. It stays open: data that
  // arrives while a line is closed is not noticed when it is opened.
  openInput: `input_line=/dev/tty$((slot * 3 + 4))
  exec 7<$input_line
  stty -F $input_line raw -echo icanon iexten -imaxbel eof ^D lnext ^V \\
    erase undef kill undef werase undef rprnt undef eol undef eol2 undef`,
  // Input that an earlier command left unread precedes a piece that names this command. After that,
  // each piece is acknowledged to the host: see stdin.ts. dd prints "0+0 records in" at the end.
  copyInput: `until [ "$($run/busybox dd bs=4096 count=1 2>/dev/null <&7)" = "$id" ]; do :; done
    say taken $slot $id
    while :; do
      case $($run/busybox dd bs=4096 count=1 2>&1 >&4 <&7) in 0+1*) say taken $slot $id ;; *) break ;; esac
    done`,
  count: 'count_out= count_err=',
  copyOutput: () => 'dd bs=65536',
  mountHost: 'mount -t hostfs -o "ro,$1" keep "$1"',
  mountShare: 'mount -t hostfs -o "$1" share "$1"',
  // stty sets a line's mode only after all its output has reached the host (it drains first).
  told: `stty -F $out_line raw -echo
    stty -F $err_line raw -echo
    say exit $slot $status`,
};

/**
 * The lines of a full kernel are ports of a virtio console, found by name (qemu.ts); the host announces the names
 * after the driver is loaded.
 */
const FULL: Parts = {
  settings: '',
  control: `line() {
  until found=$(grep -slx $1 /sys/class/virtio-ports/*/name); do sleep 0.01; done
  echo "$found" | sed 's#/sys/class/virtio-ports#/dev#; s#/name##'
}
control_line=$(line control)`,
  lines: 'out_line=$(line out$slot) err_line=$(line err$slot)',
  openInput: 'exec 7<$(line input$slot)',
  copyInput: '$run/busybox dd bs=4096 2>/dev/null >&4 <&7',
  count: `$run/busybox wc -c <$lab/out.copy >$lab/out.sent & count_out=$!
    $run/busybox wc -c <$lab/err.copy >$lab/err.sent & count_err=$!`,
  copyOutput: (name) => `tee $lab/${name}.copy`,
  mountHost: 'mount --bind "/run/lab/host$1" "$1"',
  mountShare: `mount -t 9p -o ${NINE_P},cache=mmap share "$1"`,
  // A write to a port returns before the host has the data.
  told: 'say exit $slot $status $(cat $lab/out.sent $lab/err.sent)',
};

/** The copier for standard input; only it and the command may hold the pipe's ends. */
const inputPipe = ({ copyInput }: Parts) => `if [ "$input" = input ]; then
      exec 3<>$lab/in 4>$lab/in
      {
        echo 0 >$cgroup/cgroup.procs
        ${copyInput}
      } </dev/null 3<&- 5>&- 6>&- &
      exec 9<$lab/in 3<&- 4>&-
    else
      exec 9</dev/null
    fi`;

/** Quotes a word for a POSIX shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The kernel's module loading helper: /proc/sys/kernel/modprobe takes only a path. */
export function modprobeScript(plan: Pick<GuestPlan, 'run' | 'kernel'>): string {
  return `#!${plan.run}/busybox sh
exec chroot ${quote(plan.kernel)} /bin/busybox modprobe "$@"
`;
}

/** Per-command part for a slot: the variable `cwd` and the function `start`. */
export function commandScript({ cwd, env, command }: GuestCommand): string {
  const environment = Object.entries(env).map(([name, value]) => quote(`${name}=${value}`));
  return `cwd=${quote(cwd)}
start() { exec setsid /usr/bin/env -i ${environment.join(' ')} ${command.map(quote).join(' ')}; }
`;
}

/**
 * Starts the command of slot $1 from the file $2, in its own network namespace if $3 is `isolated`. Everything
 * it starts is in the slot's cgroup, so that it can be killed with it.
 */
const START = `echo 0 >/run/lab/cgroup/$1/cgroup.procs
if [ "$3" = isolated ]; then
  ifconfig lo 127.0.0.1 up
  mount -t sysfs sysfs /sys
  mount -t tmpfs -o mode=755 netns /run/netns
fi
echo $$ >/run/lab/$1/pid
. "$2"
start`;

/**
 * A guest that lives on must see changes on the host: cached names and contents of files below an
 * overlay (/tmp) are dropped.
 */
const REFRESH = 'echo 3 >/proc/sys/vm/drop_caches';

export function initScript(plan: GuestPlan): string {
  const parts = plan.kind === 'full' ? FULL : USER_MODE;
  const slots = slotNumbers(plan.slots);
  return `#!${plan.run}/busybox sh
# This shell finds its own commands (mount, cat, ...) in busybox, whatever PATH says; but it starts
# them by /proc/self/exe, which up to here is the host's, and so the guest kernel.
run=${quote(plan.run)} kernel=${quote(plan.kernel)} share=${quote(plan.share)}

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

${parts.control}
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
${parts.settings}
for name in ${MODULES[plan.kind].join(' ')}; do load $name; done
hostname lab
ifconfig lo 127.0.0.1 up

mkdir /run/lab/cgroup
mount -t cgroup2 cgroup /run/lab/cgroup

# Runs the commands of slot $1, one after the other; the pipe \`next\` says which.
slot() {
  slot=$1 lab=/run/lab/$1 cgroup=/run/lab/cgroup/$1
  ${parts.lines}
  ${plan.stdin ? parts.openInput : ''}
  while read -r id input isolated; do
    : >$lab/pid
    ${plan.slots > 1 ? REFRESH : ''}
    . $run/command.$id
    keep "$cwd"
    cd "$cwd" || { say error $slot cwd; continue; }
    ${parts.count}
    # Not by cat: busybox's uses sendfile(2), which holds a pipe's lock while it waits for a terminal, and
    # then the process at the pipe's other end cannot even exit (seen with 6.1.176).
    # By its path, so that it is executed: as the shell's own it would keep the shell's other ends open.
    # Each pipe is opened here for both directions first: to open one end alone waits for the other, and
    # this shell's open(2) fails when a child ends meanwhile. A copier keeps only what it needs.
    exec 3<>$lab/out 4<$lab/out
    $run/busybox ${parts.copyOutput('out')} <&4 >$out_line 2>/dev/null 3<&- 4<&- & out=$!
    exec 5>$lab/out 3<&- 4<&-
    exec 3<>$lab/err 4<$lab/err
    $run/busybox ${parts.copyOutput('err')} <&4 >$err_line 2>/dev/null 3<&- 4<&- 5>&- & err=$!
    exec 6>$lab/err 3<&- 4<&-
    ${plan.stdin ? inputPipe(parts) : 'exec 9</dev/null'}
    say started $slot
    # In the foreground: a shell without job control starts what it puts in the background with SIGINT and
    # SIGQUIT ignored, for good.
    \${isolated:+$run/busybox unshare --net --mount} $run/busybox sh -c ${quote(START)} \\
      command $slot $run/command.$id $isolated <&9 >&5 2>&6 5>&- 6>&- 7<&- 8>&- 9<&-
    status=$?
    exec 5>&- 6>&- 9<&-
    cd /
    # For a signal that waits for it.
    [ -s $lab/pid ] || echo none >$lab/pid
    # As when a container ends: whatever the command left running ends with it. Then the output ends.
    populated=1
    until [ $populated = 0 ]; do
      echo 1 >$cgroup/cgroup.kill
      { read -r _ populated; } <$cgroup/cgroup.events
      [ $populated = 0 ] || sleep 0.01
    done
    wait $out $err $count_out $count_err
    [ -z "$share" ] || sync
    ${parts.told}
  done <>$lab/next
}

control() {
  say ready
  while read -r word slot rest; do
    case $word in
      run) echo "$rest" >/run/lab/$slot/next ;;
      kill) echo 1 >/run/lab/cgroup/$slot/cgroup.kill ;;
      signal)
        until [ -s /run/lab/$slot/pid ]; do sleep 0.01; done
        pid=$(cat /run/lab/$slot/pid)
        kill -s "$rest" -- -$pid || kill -s "$rest" $pid ;;
    esac
  done <&8
}

for slot in ${slots.join(' ')}; do
  mkdir /run/lab/$slot /run/lab/cgroup/$slot
  for pipe in out err in next out.copy err.copy; do mkfifo /run/lab/$slot/$pipe; done
done
# A pipeline, for its parts run side by side, and in the foreground.
${slots.map((slot) => `slot ${slot} </dev/null | `).join('')}control
`;
}
