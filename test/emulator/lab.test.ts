/** The lab's full kernel: the interface of the user-mode one, and what is said where it cannot work. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type LabErrorCode, type LabKernel, prepareLab } from '../../lib/lab/index.ts';
import { prepareEmulator } from '../../lib/lab/qemu.ts';

const COMMAND = join(import.meta.dirname, '../../../bin/netlink-xfrm.js');

interface Ended {
  readonly status: number;
  readonly out: Buffer;
  readonly err: string;
}

describe('the full kernel of the lab', () => {
  let kernel: LabKernel;
  let work = '';
  before(async () => {
    // Where the guests' files are made too, so that what is left of them shows.
    work = mkdtempSync(join(tmpdir(), 'lab-full-'));
    mkdirSync(join(work, 'share, with a comma'));
    kernel = await prepareLab({ kernel: 'full' });
  });
  after(() => rmSync(work, { recursive: true, force: true }));

  /** `netlink-xfrm lab --kernel full` as a user starts it. */
  async function lab(
    args: readonly string[],
    { input = Buffer.alloc(0), env = {} }: { input?: Buffer; env?: NodeJS.ProcessEnv } = {},
  ): Promise<Ended> {
    const child = spawn(process.execPath, [COMMAND, 'lab', '--kernel', 'full', ...args], {
      env: { ...process.env, TMPDIR: work, LAB_TEST: "it's", ...env },
    });
    const out: Buffer[] = [];
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk) => {
      err += chunk;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const [status] = await once(child, 'close');
    return { status, out: Buffer.concat(out), err };
  }

  /** Directories of guests that are still there. */
  const left = () => readdirSync(work).filter((name) => name.startsWith('netlink-xfrm-lab-'));

  test('streams byte for byte, status, environment, share, processors', async () => {
    const input = randomBytes(2_000_000);
    const share = join(work, 'share, with a comma');
    const script = `
      cat >"$0/input"
      cat "$0/input"
      printf '%s %s %s' "$LAB_TEST" "$NETLINK_XFRM_LAB" "$(nproc)" >&2
      echo x >/usr/written 2>/dev/null && exit 1
      mount -o remount,rw / && echo x >/usr/written && exit 2
      head -c 3000000 /dev/zero
      exit 7`;
    const args = ['--share', share, '--', 'sh', '-c', script, share];
    const { status, out, err } = await lab(args, { input });
    assert(err.startsWith(`it's ${kernel.release} 2`), err);
    assert.equal(status, 7);
    const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex');
    assert.equal(sha256(readFileSync(join(share, 'input'))), sha256(input), 'the share');
    assert.equal(sha256(out), sha256(Buffer.concat([input, Buffer.alloc(3_000_000)])), 'stdout');
    assert.equal(existsSync('/usr/written'), false);
    assert.deepEqual(left(), []);
  });

  test('a guest that is powered off, and one that is too late', async () => {
    const lost = await lab(['--', 'sh', '-c', 'echo o >/proc/sysrq-trigger; sleep 60']);
    assert.equal(lost.status, 3);
    assert.match(lost.err, /ended without an exit status/);
    const late = await lab(['--timeout', '1', '--', 'true']);
    assert.equal(late.status, 124);
    assert.match(late.err, /before the command started: give a longer --timeout/);
    assert.deepEqual(left(), []);
  });

  test('a guest ends with the process that started it', async () => {
    const child = spawn(
      process.execPath,
      [COMMAND, 'lab', '--kernel', 'full', '--', 'sleep', '600'],
      {
        env: { ...process.env, TMPDIR: work },
        stdio: 'ignore',
      },
    );
    // From when the emulator runs; before, it is the process itself that has to tidy up.
    const runs = () => left().some((name) => existsSync(join(work, name, 'kernel.pid')));
    while (!runs()) await new Promise((turn) => setTimeout(turn, 50));
    child.kill('SIGKILL');
    await once(child, 'close');
    while (left().length > 0) await new Promise((turn) => setTimeout(turn, 50));
  });

  const refusal = (code: LabErrorCode, { status, err }: Ended, text: RegExp) => {
    assert.equal(status, 3, `${code}: ${err}`);
    assert.match(err, text);
    assert.deepEqual(left(), []);
  };

  test('no emulator, one that is none, no memory: said, with what to do', async () => {
    const missing = { NETLINK_XFRM_QEMU: join(work, 'no-qemu') };
    refusal(
      'LAB_QEMU',
      await lab(['true'], { env: missing }),
      /cannot be run\.\nInstall the package/,
    );
    const other = join(work, 'qemu-system-x86_64');
    writeFileSync(other, '#!/bin/sh\necho "$0: -fsdev: invalid option" >&2\nexit 1\n', {
      mode: 0o755,
    });
    const wrong = { NETLINK_XFRM_QEMU: other };
    refusal('LAB_QEMU', await lab(['true'], { env: wrong }), /-fsdev: invalid option\nInstall/);
    const little = await emulator('little', 'ulimit -v 8000000');
    const large = await lab(['--memory', '65536', 'true'], { env: little });
    refusal('LAB_MEMORY', large, /does not have the memory .*\nAsk for less memory/);
  });

  /** A program that does something before it becomes the emulator. */
  async function emulator(name: string, first: string): Promise<NodeJS.ProcessEnv> {
    const { program, env, firmware } = await prepareEmulator();
    const words = [program, ...firmware.flatMap((directory) => ['-L', directory])];
    const variables = Object.entries(env).map(([name, value]) => `export ${name}='${value}'\n`);
    const script = `#!/bin/sh\n${first}\n${variables.join('')}exec ${words.join(' ')} "$@"\n`;
    writeFileSync(join(work, name), script, { mode: 0o755 });
    return { NETLINK_XFRM_QEMU: join(work, name) };
  }

  test('where KVM does not work, the guest is emulated', async () => {
    // As qemu was seen to do, with a /dev/kvm that could not run the kernel.
    const broken = `case "$*" in *'-accel kvm'*) echo KVM internal error. Suberror: 1 >&2; exec sleep 600;; esac`;
    const env = { ...(await emulator('broken-kvm', broken)), NETLINK_XFRM_ACCEL: 'kvm,tcg' };
    const input = Buffer.from('once');
    const { status, out } = await lab(['cat'], { input, env });
    assert.deepEqual([status, out.toString()], [0, 'once']);
    const alone = await lab(['true'], { env: { ...env, NETLINK_XFRM_ACCEL: 'kvm' } });
    refusal('LAB_BOOT', alone, /KVM internal error.*NETLINK_XFRM_ACCEL=tcg/s);
  });

  test('a full disk is named', {
    skip: process.getuid?.() !== 0 && 'mounting one needs root',
  }, () => {
    const small = join(work, 'small');
    mkdirSync(small);
    const script = 'mount -t tmpfs -o size=1m small "$0" && TMPDIR="$0" exec "$@"';
    const command = [process.execPath, COMMAND, 'lab', '--kernel', 'full', 'true'];
    const args = ['--mount', 'sh', '-c', script, small, ...command];
    const { status, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
    refusal('LAB_TMPDIR', { status: status ?? -1, out: Buffer.alloc(0), err: stderr }, /ENOSPC/);
  });
});
