import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bootError, KernelLog } from '../../lib/lab/boot-log.ts';
import { cachePath, lockFile, openCache } from '../../lib/lab/cache.ts';
import { LabError, type LabErrorCode, lastLines } from '../../lib/lab/errors.ts';
import { commandScript, initScript, quote } from '../../lib/lab/guest.ts';
import { archive, moduleFiles } from '../../lib/lab/initramfs.ts';
import type { LabKernel } from '../../lib/lab/kernel.ts';
import { chooseSuites, parseOsRelease } from '../../lib/lab/machine.ts';
import { checkCommand, checkLimits } from '../../lib/lab/options.ts';
import { runProgram } from '../../lib/lab/programs.ts';
import { accelerators, qemuProgram } from '../../lib/lab/qemu.ts';
import { chooseArchive, parseListFile, parseSourcesFile } from '../../lib/lab/sources.ts';
import { encodePiece, PIECE, TerminalInput } from '../../lib/lab/stdin.ts';
import {
  chooseTemp,
  makeRunDirectory,
  mountOf,
  parseMountInfo,
  type TempCandidate,
  tempCandidates,
} from '../../lib/lab/tempdir.ts';
import { fetchLabTools, selectPackages } from '../../lib/lab/tools.ts';
import { needsWideRegisters } from '../../lib/lab/wide-registers.ts';

const refuses = (code: LabErrorCode) => (error: unknown) =>
  error instanceof LabError && error.code === code && error.hint.length > 20;

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const hasKeyring = (path: string) => path === KEYRING;

describe('the archive', () => {
  const list = `
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.gpg] https://vendor.example/linux/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # remark
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian-security bookworm-security main
`;
  const sources = `Types: deb deb-src
# a comment in the middle
URIs: http://one.example/debian/
Suites: trixie trixie-updates
Components: main contrib
Signed-By: ${KEYRING}

Types: deb
URIs: http://one.example/debian-security
Suites: trixie-security
Components: main
Signed-By: ${KEYRING}

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main

Types: deb
URIs: https://own.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
`;

  test('one-line files are read, comments and source entries left out', () => {
    const parsed = parseListFile(list);
    assert.deepEqual(
      parsed.map(({ uri, suite }) => [uri, suite]),
      [
        ['https://vendor.example/linux/debian', 'bookworm'],
        ['http://mirror.example/debian', 'bookworm'],
        ['http://mirror.example/debian-security', 'bookworm-security'],
      ],
    );
    assert.equal(parsed[0]?.signedBy, '/etc/apt/keyrings/docker.gpg');
    assert.deepEqual(parsed[1]?.components, ['main', 'contrib']);
  });

  test('deb822 files are read: several suites, comments, disabled entries, keys in place', () => {
    const parsed = parseSourcesFile(sources);
    assert.deepEqual(
      parsed.map(({ uri, suite }) => [uri, suite]),
      [
        ['http://one.example/debian/', 'trixie'],
        ['http://one.example/debian/', 'trixie-updates'],
        ['http://one.example/debian-security', 'trixie-security'],
        ['https://own.example/debian', 'trixie'],
      ],
    );
    assert.match(parsed[3]?.signedBy ?? '', /^-----BEGIN[\s\S]*END PGP PUBLIC KEY BLOCK-----$/);
  });

  test('the Debian archive is chosen, not a vendor that uses its names', () => {
    assert.equal(
      chooseArchive(parseListFile(list), {}, hasKeyring).uri,
      'http://mirror.example/debian',
    );
    assert.deepEqual(chooseArchive(parseSourcesFile(sources), {}, hasKeyring), {
      uri: 'http://one.example/debian/',
      signedBy: KEYRING,
    });
    const ubuntu = parseListFile('deb http://u.example/ubuntu noble main universe');
    assert.throws(() => chooseArchive(ubuntu, {}, hasKeyring), refuses('LAB_MIRROR'));
  });

  test('the environment takes precedence; without keys it is rejected', () => {
    const env = { NETLINK_XFRM_MIRROR: 'http://mine.example/debian' };
    assert.equal(chooseArchive(parseListFile(list), env, hasKeyring).uri, env.NETLINK_XFRM_MIRROR);
    assert.throws(() => chooseArchive([], env, () => false), refuses('LAB_KEYRING'));
    const own = { ...env, NETLINK_XFRM_KEYRING: '/my/keys.gpg' };
    assert.equal(chooseArchive([], own, () => true).signedBy, '/my/keys.gpg');
    const odd = { NETLINK_XFRM_MIRROR: 'a b' };
    assert.throws(() => chooseArchive([], odd, hasKeyring), refuses('LAB_MIRROR'));
  });
});

describe('the machine', () => {
  test('os-release is read with and without quotes', () => {
    const text = 'ID=debian\nPRETTY_NAME="Debian \\"12\\""\nVERSION_CODENAME=bookworm\n#X=1\n';
    const values = parseOsRelease(text);
    assert.deepEqual(
      [values.ID, values.PRETTY_NAME, values.VERSION_CODENAME],
      ['debian', 'Debian "12"', 'bookworm'],
    );
  });

  test('the suites: the one asked for, else the newest, then its own or bookworm', () => {
    const machine = (id: string, codename: string) => ({ id, codename, amx: false });
    const suites = (id: string, codename: string) =>
      chooseSuites(undefined, machine(id, codename), {});
    assert.deepEqual(suites('debian', 'trixie'), ['sid', 'trixie']);
    assert.deepEqual(suites('debian', 'sid'), ['sid']);
    assert.deepEqual(suites('debian', 'buster'), ['sid', 'bookworm']);
    assert.deepEqual(suites('ubuntu', 'noble'), ['sid', 'bookworm']);
    const env = { NETLINK_XFRM_SUITE: 'bookworm' };
    assert.deepEqual(chooseSuites(undefined, machine('debian', 'trixie'), env), ['bookworm']);
    assert.deepEqual(chooseSuites('sid', machine('debian', 'trixie')), ['sid']);
    for (const name of ['../x', '', 'Sid', 'a b']) {
      assert.throws(() => chooseSuites(name, machine('debian', 'sid')), refuses('LAB_USAGE'));
    }
  });

  test('older kernels need help on processors with AMX', () => {
    assert.equal(needsWideRegisters('6.1.176', true), true);
    assert.equal(needsWideRegisters('6.12.101', true), true);
    assert.equal(needsWideRegisters('7.2.7', true), false);
    assert.equal(needsWideRegisters('6.1.176', false), false);
  });
});

describe('the places of a guest', () => {
  const place = (path: string, more: Partial<TempCandidate> = {}): TempCandidate => ({
    path,
    free: 4 * 1024 ** 3,
    writable: true,
    executable: true,
    tmpfs: true,
    ...more,
  });

  test('its memory: the first with room that may be written and executed', () => {
    const small = place('/dev/shm', { free: 64 * 1024 ** 2 });
    const noexec = place('/run/user/1', { executable: false });
    const readOnly = place('/ro', { writable: false });
    assert.equal(chooseTemp([small, noexec, readOnly, place('/tmp')], 512), '/tmp');
    assert.throws(
      () => chooseTemp([small, noexec, readOnly], 512),
      (error) =>
        refuses('LAB_TMPDIR')(error) &&
        /64 MiB free.*noexec.*cannot be written/.test((error as Error).message),
    );
    assert.throws(() => chooseTemp([], 512), refuses('LAB_TMPDIR'));
  });

  test('the files that start the guest: the first that it can execute from and sees, else why none', () => {
    const parent = mkdtempSync(join(tmpdir(), 'lab-places-'));
    try {
      const unfit = [
        place('/noexec', { executable: false }),
        place('/ro', { writable: false }),
        place('/dev/shm'),
        place('/run/user/1'),
        place('/a b'),
        place(join(parent, 'gone')),
      ];
      const made = makeRunDirectory([...unfit, place(parent), place('/later')]);
      assert.equal(dirname(made), parent);
      assert.equal(statSync(made).mode & 0o777, 0o700);
      assert.throws(
        () => makeRunDirectory(unfit),
        (error) => {
          assert.ok(refuses('LAB_TMPDIR')(error));
          const { message, hint } = error as LabError;
          assert.match(
            message,
            /\/noexec is mounted noexec; \/ro cannot be written; \/dev\/shm is hidden .*\/a b has a blank .*\/gone .*ENOENT/,
          );
          assert.match(hint, /TMPDIR.*noexec/);
          return true;
        },
      );
      assert.throws(() => makeRunDirectory([]), refuses('LAB_TMPDIR'));
    } finally {
      rmSync(parent, { recursive: true });
    }
  });

  test('TMPDIR takes precedence', () => {
    assert.equal(tempCandidates({ TMPDIR: '/a' }, '/c')[0], '/a');
    assert.equal(tempCandidates({ TMPDIR: 'relative' }, '/c')[0], '/dev/shm');
  });

  test('mount points: the longest, the latest, with blanks', () => {
    const mounts = parseMountInfo(
      [
        '1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/a rw',
        '2 1 0:5 / /dev/shm rw - tmpfs tmpfs rw',
        '3 1 0:6 / /dev/shm rw,noexec - tmpfs tmpfs rw',
        '4 1 0:7 / /a\\040b rw - xfs /dev/b rw',
      ].join('\n'),
    );
    assert.equal(mountOf('/dev/shm/x', mounts)?.options.includes('noexec'), true);
    assert.equal(mountOf('/dev/shmx', mounts)?.type, 'ext4');
    assert.equal(mountOf('/a b', mounts)?.type, 'xfs');
    assert.equal(mountOf('/', mounts)?.type, 'ext4');
  });
});

describe('the cache', () => {
  let base = '';
  before(() => {
    // Not below a directory that all may write to without the sticky bit.
    base = mkdtempSync(join(tmpdir(), 'lab-cache-'));
  });
  after(() => rmSync(base, { recursive: true }));

  test('its path', () => {
    assert.equal(cachePath({}, '/home/a'), '/home/a/.cache/netlink-xfrm');
    assert.equal(cachePath({ XDG_CACHE_HOME: '/x' }, '/home/a'), '/x/netlink-xfrm');
    assert.equal(cachePath({ XDG_CACHE_HOME: 'x' }, '/home/a'), '/home/a/.cache/netlink-xfrm');
    assert.equal(cachePath({ NETLINK_XFRM_CACHE: '/c', XDG_CACHE_HOME: '/x' }, '/h'), '/c');
  });

  test('it is made private', () => {
    const path = openCache(join(base, 'new/deep'));
    assert.equal(statSync(path).mode & 0o777, 0o700);
  });

  test('others must not be able to write to it, or to swap it', () => {
    const open = join(base, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    assert.throws(() => openCache(open), refuses('LAB_CACHE'));
    assert.throws(() => openCache('/proc/no-such/cache'), refuses('LAB_CACHE'));
    assert.throws(() => openCache(join(open, 'below')), refuses('LAB_CACHE'));
    chmodSync(open, 0o1777);
    openCache(join(open, 'below'));
  });

  test('it must be ours', () => {
    // Root's for others; for root, that of another user.
    const root = process.getuid?.() === 0;
    const foreign = root ? join(base, 'foreign') : '/usr/share';
    if (root) {
      mkdirSync(foreign, { mode: 0o700 });
      chownSync(foreign, 65534, 65534);
    }
    assert.throws(() => openCache(foreign), refuses('LAB_CACHE'));
  });

  test('a path that apt or the loader would misread is rejected', () => {
    for (const name of ['a b', 'a:b', 'a"b', 'a;b', 'a$b']) {
      assert.throws(() => openCache(join(base, name)), refuses('LAB_CACHE'));
    }
  });

  test('a lock is held by one, and waiting for it can be aborted', async () => {
    const path = join(base, 'lock');
    const first = await lockFile(path);
    let got = false;
    const second = lockFile(path).then((lock) => {
      got = true;
      return lock;
    });
    await assert.rejects(lockFile(path, AbortSignal.timeout(100)), { name: 'TimeoutError' });
    assert.equal(got, false);
    await first.release();
    await (await second).release();
  });
});

describe('options', () => {
  test('figures and commands are checked', () => {
    assert.deepEqual(checkLimits({}), { memory: 512, timeout: 120_000 });
    assert.deepEqual(checkLimits({ kernel: 'full' }), { memory: 1024, timeout: 600_000 });
    const kernel = 'half' as 'full';
    assert.throws(() => checkLimits({ kernel }), refuses('LAB_USAGE'));
    for (const memory of [0, 64, 1.5, Number.NaN, 1e9]) {
      assert.throws(() => checkLimits({ memory }), refuses('LAB_USAGE'));
    }
    for (const timeout of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => checkLimits({ timeout }), refuses('LAB_USAGE'));
    }
    for (const command of [[], [''], ['a', 'b\0c']]) {
      assert.throws(() => checkCommand(command), refuses('LAB_USAGE'));
    }
  });

  test('packages: names are checked, the C library is left out', async () => {
    await assert.rejects(fetchLabTools([]), refuses('LAB_USAGE'));
    await assert.rejects(fetchLabTools(['-o']), refuses('LAB_USAGE'));
    const closure = [
      'libc6',
      'libmnl0',
      'debconf',
      'iproute2',
      'zlib1g',
      'libperl5.36',
      'gcc-12-base',
    ];
    assert.deepEqual(selectPackages(['iproute2'], closure), ['iproute2', 'libmnl0', 'zlib1g']);
  });
});

describe('the guest', () => {
  const plan = {
    kind: 'user-mode' as const,
    run: '/tmp/run',
    kernel: '/cache/k',
    share: '',
    keep: ['/x'],
    stdin: true,
    slots: 1,
  };
  const command = {
    command: ["it's", '$HOME', 'a\nb', ''],
    cwd: "/a'b",
    env: { A: "q'", 'odd-name': '1' },
  };

  test('words survive the shell', async () => {
    for (const word of ["it's", '$HOME `x`', 'a\nb', '', "'''", '\\', '*']) {
      const { stdout } = await runProgram('sh', ['-c', `printf %s ${quote(word)}`]);
      assert.equal(stdout, word);
    }
  });

  test('its scripts are valid shell', async () => {
    for (const script of [
      initScript(plan),
      initScript({ ...plan, stdin: false, share: '/s h' }),
      initScript({ ...plan, kind: 'full', share: '/s h' }),
      initScript({ ...plan, kind: 'full', stdin: false, slots: 4 }),
      commandScript(command),
    ]) {
      const { status, stderr } = await runProgram('sh', ['-n', '-c', script]);
      assert.equal(`${status}${stderr}`, '0');
    }
  });

  test('input is quoted for a terminal line', () => {
    assert.deepEqual(
      [...encodePiece(Buffer.from([0x61, 0x0a, 0x04, 0x16, 0]))],
      [0x61, 0x16, 0x0a, 0x16, 0x04, 0x16, 0x16, 0, 0x04],
    );
  });

  test('input waits until a piece was taken, and ends with an end', async () => {
    const encoder = new TerminalInput();
    encoder.end(Buffer.alloc(PIECE + 1, 0x61));
    const sent: number[] = [];
    encoder.on('data', (piece: Buffer) => sent.push(piece.length));
    const turn = () => new Promise((resume) => setImmediate(resume));
    await turn();
    assert.deepEqual(sent, [PIECE + 1]);
    encoder.acknowledge();
    await turn();
    assert.deepEqual(sent, [PIECE + 1, 2]);
    encoder.acknowledge();
    await turn();
    assert.deepEqual(sent, [PIECE + 1, 2, 1]);
  });
});

describe('what the kernel said', () => {
  const kernel = { release: '6.1', suite: 'bookworm' } as LabKernel;

  test('the log keeps its end, bounded', () => {
    const log = new KernelLog();
    for (let line = 0; line < 100_000; line++) log.add(Buffer.from(`line ${line}\n`));
    assert.ok(log.text.length <= 128 * 1024);
    assert.ok(log.text.endsWith('line 99999\n'));
  });

  test('reasons are distinguished', () => {
    const code = (text: string) => bootError(kernel, text).code;
    assert.equal(
      code('Checking that ptrace can change system call numbers...ptrace: Operation not permitted'),
      'LAB_PTRACE',
    );
    assert.equal(code('userspace - ptrace set fp regs failed, errno = 14'), 'LAB_PTRACE');
    assert.equal(
      code(
        'Checking that ptrace can change system call numbers...OK\nKernel panic - not syncing: x',
      ),
      'LAB_BOOT',
    );
    assert.equal(code('Checking syscall emulation patch for ptrace...OK\nBus error'), 'LAB_TMPDIR');
    assert.match(bootError(kernel, 'a\nKernel panic - not syncing: x\nb').message, /panic - not/);
    assert.match(bootError(kernel, '').message, /\(none\)/);
  });

  test('control characters reach no terminal', () => {
    assert.equal(lastLines('a\nb\x1b[31m\r\n', 1), 'b\\x1b[31m');
  });
});

describe('a full kernel', () => {
  let base = '';
  before(() => {
    base = mkdtempSync(join(tmpdir(), 'lab-unit-'));
  });
  after(() => rmSync(base, { recursive: true, force: true }));

  test('its first root is an archive that cpio reads', () => {
    const data = Buffer.from('four\n');
    const made = archive([
      { path: 'd', mode: 0o040755 },
      { path: 'd/file', mode: 0o100755, data },
      { path: 'd/of-another-length', mode: 0o100644, data: Buffer.alloc(4097, 1) },
    ]);
    assert.equal(made.length % 4, 0);
    assert.equal(made.toString('latin1', 0, 6), '070701');
    const names = [...made.toString('latin1').matchAll(/070701.{104}([^\0]+)\0/gs)];
    assert.deepEqual(
      names.map((match) => match[1]),
      ['d', 'd/file', 'd/of-another-length', 'TRAILER!!!'],
    );
    // Data follow the name, both at multiples of four.
    for (const { 0: header, 1: name = '', index } of names) {
      assert.equal(index % 4, 0, name);
      assert.equal(Number.parseInt(header.slice(94, 102), 16), name.length + 1);
    }
    assert(made.includes(data));
  });

  test('modules come after what they need, and none twice', () => {
    const text = `kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko
kernel/net/9p/9pnet.ko: kernel/fs/netfs/netfs.ko
kernel/fs/netfs/netfs.ko:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko
`;
    writeFileSync(join(base, 'modules.dep'), text);
    writeFileSync(join(base, 'modules.builtin'), 'kernel/drivers/virtio/virtio_pci.ko\n');
    const files = moduleFiles(base, ['virtio_pci', '9pnet_virtio', '9p']);
    assert.deepEqual(
      files.map((file) => file.replace(/^.*\//, '')),
      ['netfs.ko', '9pnet.ko', '9pnet_virtio.ko', '9p.ko'],
    );
    const without = () => moduleFiles(base, ['9p', 'virtio_console']);
    assert.throws(without, /has no virtio_console\./);
  });

  test('the processor runs it only where it can', () => {
    const [device, with_, without] = ['kvm', 'vmx', 'none'].map((name) => join(base, name));
    writeFileSync(device ?? '', '');
    writeFileSync(with_ ?? '', 'flags\t\t: fpu vmx sse\n');
    writeFileSync(without ?? '', 'flags\t\t: fpu sse\nvmx flags\t: x\n');
    assert.deepEqual(accelerators({}, device, with_), ['kvm', 'tcg']);
    assert.deepEqual(accelerators({}, device, without), ['tcg']);
    assert.deepEqual(accelerators({}, join(base, 'no-kvm'), with_), ['tcg']);
    assert.deepEqual(accelerators({ NETLINK_XFRM_ACCEL: 'kvm' }, device, without), ['kvm']);
    const wrong = { NETLINK_XFRM_ACCEL: 'fast' };
    assert.throws(() => accelerators(wrong, device, with_), refuses('LAB_USAGE'));
  });

  test('a share with a comma stays one word of an option', () => {
    const emulator = { program: '/usr/bin/qemu', env: {}, firmware: ['/f'] };
    const kernel = { kind: 'full', program: '/k/linux' } as LabKernel;
    const setup = { run: '/r', memory: 256, slots: 2, stdin: false, accelerator: 'tcg' } as const;
    const { command } = qemuProgram(emulator, kernel, { ...setup, share: '/a,b' });
    assert(command.some((word) => word.startsWith('local,id=share,path=/a,,b,')));
    assert(!command.some((word) => word.includes('name=input')));
    const alone = qemuProgram(emulator, kernel, { ...setup, stdin: true, share: '' }).command;
    assert(!alone.some((word) => word.includes('id=share')));
    assert(alone.some((word) => word.includes('name=input1')));
  });

  test("the emulator's output leads to a hint", () => {
    const kernel = { kind: 'full', release: '7.2', suite: 'sid' } as LabKernel;
    const code = (text: string) => bootError(kernel, text).code;
    const q = '/x/bin/qemu-system-x86_64: ';
    assert.equal(
      code(`${q}cannot set up guest memory 'pc.ram': Cannot allocate memory`),
      'LAB_MEMORY',
    );
    assert.equal(code(`${q}-fsdev local: There is no option group 'fsdev'`), 'LAB_QEMU');
    assert.equal(
      code('q: error while loading shared libraries: libx.so.1: cannot open'),
      'LAB_QEMU',
    );
    assert.equal(code(`${q}warning: host doesn't support requested feature`), 'LAB_BOOT');
    assert.equal(code(`${q}failed to initialize kvm: Permission denied`), 'LAB_BOOT');
    assert.equal(code('[ 1.0] Kernel panic - not syncing: VFS: no root'), 'LAB_BOOT');
    assert.match(
      bootError(kernel, 'KVM internal error. Suberror: 1').hint,
      /NETLINK_XFRM_ACCEL=tcg/,
    );
  });
});
