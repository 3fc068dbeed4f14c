/**
 * A network namespace with a lifetime. It is held by a descriptor, without process or name: the kernel removes it when
 * the descriptor is closed, even if this process crashes. What runs in it is then killed (keeper.ts).
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import type { Socket as UdpSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wrongValue } from '../base/argument.ts';
import { shown } from '../base/shown.ts';
import { RouteClient } from '../route/client.ts';
import { SystemError } from '../socket/index.ts';
import { makeNamespace, type OpenFile } from '../socket/namespace.ts';
import { XfrmClient } from '../xfrm/client.ts';
import { Keeper } from './keeper.ts';
import { finished, kill, type ProgramOptions, type ProgramOutput, spawnIn } from './program.ts';
import { openServer, openTcp, openUdp } from './sockets.ts';

/** Writes $1 to the file $0. */
const SET_SYSCTL = `
[ -e "$0" ] || { echo "this kernel has no $0" >&2; exit 1; }
[ -w "$0" ] || mount -o remount,bind,rw /proc/sys && echo "$1" >"$0"`;

/**
 * A new network namespace with its loopback interface up.
 *
 *     await using host = await NetworkNamespace.make('host');
 *     const monitor = await TunnelMonitor.open({ netns: host.netns });
 *
 * Closing it, or the end of this process, closes its sockets and kills whatever runs in it.
 */
export class NetworkNamespace implements AsyncDisposable {
  /** Its name in messages. */
  readonly name: string;
  /** XFRM client in this namespace. */
  readonly xfrm: XfrmClient;
  /** rtnetlink client in this namespace: links, addresses, routes. */
  readonly route: RouteClient;
  readonly #file: OpenFile;
  readonly #owned = new Set<() => unknown>();
  /** Whether it was made here, and so ends with everything in it. */
  readonly #made: boolean;
  #keeper: Keeper | undefined;
  #closing: Promise<void> | undefined;
  #closed = false;

  /** @throws SystemError `unshare EPERM` without CAP_SYS_ADMIN: root, or a user namespace (`unshare -Ur`) */
  static async make(name = 'host'): Promise<NetworkNamespace> {
    return new NetworkNamespace(name).started();
  }

  /** @param own a namespace that outlives this object */
  protected constructor(name: string, own?: OpenFile) {
    this.name = name;
    this.#made = own === undefined;
    this.#file = own ?? makeNamespace();
    this.xfrm = new XfrmClient({ netns: this.netns });
    this.route = new RouteClient({ netns: this.netns });
  }

  /** @internal */
  protected async started(): Promise<this> {
    try {
      await this.route.setLinkUp({ name: 'lo' });
      return this;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /**
   * Its descriptor, for the `netns` option of clients, monitors and subscriptions.
   *
   * @throws TypeError once it is closed: the number may then be that of another file
   */
  get netns(): number {
    if (this.#closed) throw wrongValue(`${this.name} is closed`);
    return this.#file.descriptor;
  }

  /** Whether it is closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Path for other programs while this process lives: `nsenter --net=PATH`. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.netns}`;
  }

  /** Command line that runs a program in it, for programs you start yourself. */
  command(program: string, ...args: string[]): [program: string, args: string[]] {
    return ['nsenter', [`--net=${this.path}`, program, ...args]];
  }

  /** Runs iproute2's `ip` in it: `ip('route show')`. */
  ip(line: string): Promise<ProgramOutput> {
    return this.run('ip', line.trim().split(/\s+/));
  }

  /** Starts a program in it, which is killed when the namespace is closed or this thread ends. */
  spawn(program: string, args: readonly string[] = [], options: ProgramOptions = {}): ChildProcess {
    this.#keep();
    const child = spawnIn(this.netns, program, args, options);
    const end = this.own(() => kill(child));
    child.once('exit', end).once('error', end);
    return child;
  }

  /** Runs a program in it to completion. @throws TestingError with its output if the exit status is not 0 */
  run(
    program: string,
    args: readonly string[] = [],
    options: ProgramOptions = {},
  ): Promise<ProgramOutput> {
    const line = `${this.name}: ${[program, ...args].join(' ')}`;
    return finished(this.spawn(program, args, options), line);
  }

  /**
   * Sets a sysctl in this namespace by its path below /proc/sys: `net/ipv4/ip_forward`. In containers /proc/sys is often
   * read-only; it is then remounted writable in a mount namespace, for the writing program only.
   */
  async sysctl(name: string, value: string | number): Promise<void> {
    if (!/^\w[\w.-]*(\/\w[\w.-]*)+$/.test(name)) {
      throw wrongValue(
        `name must be a path below /proc/sys, such as net/ipv4/ip_forward; received ${shown(name)}`,
      );
    }
    const args = ['--mount', 'sh', '-c', SET_SYSCTL, `/proc/sys/${name}`, `${value}`];
    await finished(this.spawn('unshare', args), `${this.name}: sysctl ${name} = ${value}`);
  }

  /** Opens a UDP socket in it, bound to an address. */
  async udp(address: string, port = 0): Promise<UdpSocket> {
    const socket = await this.#bound(address, port, () => openUdp(this.netns, address, port));
    // dgram sockets throw on a second close, which here may be that of the host, and emit 'close' later.
    const close = socket.close.bind(socket);
    let open = true;
    socket.close = (...args) => {
      if (!open) return socket;
      open = false;
      end();
      return close(...args);
    };
    const end = this.own(() => socket.close());
    return socket;
  }

  /** Says of an address that cannot be had whose it was to be. */
  async #bound<Kind>(address: string, port: number, open: () => Promise<Kind>): Promise<Kind> {
    try {
      return await open();
    } catch (error) {
      const { errno, syscall, code } = error as SystemError;
      if (code === 'EADDRNOTAVAIL') {
        throw new SystemError(errno, syscall, `${this.name} has no address ${address}`);
      }
      if (code !== 'EADDRINUSE') throw error;
      throw new SystemError(
        errno,
        syscall,
        `another socket of ${this.name} has ${address} port ${port}`,
      );
    }
  }

  /** Opens a TCP server in it. */
  async server(address: string, port = 0): Promise<Server> {
    const server = await this.#bound(address, port, () => openServer(this.netns, address, port));
    server.once(
      'close',
      this.own(() => server.close()),
    );
    return server;
  }

  /** Opens a TCP connection from one of its addresses. */
  tcp(from: string, to: string, port: number): Socket {
    const socket = openTcp(this.netns, from, to, port);
    socket.once(
      'close',
      this.own(() => socket.destroy()),
    );
    return socket;
  }

  /** Creates a folder that is removed with it. */
  folder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'netlink-xfrm-testing-'));
    this.#keep().remove(folder);
    this.own(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  }

  /** What cleans up if this process is killed, once there is something to clean up. */
  #keep(): Keeper {
    const { netns } = this;
    this.#keeper ??= new Keeper(this.#made ? netns : undefined);
    return this.#keeper;
  }

  /** Registers `end` to be called when the namespace is closed, last first. @returns a function that unregisters it */
  own(end: () => unknown): () => void {
    this.#owned.add(end);
    return () => void this.#owned.delete(end);
  }

  /** Closes it and everything in it. Can be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const end of [...this.#owned].toReversed()) await end();
    this.#closed = true;
    await this.#keeper?.end();
    await Promise.all([this.xfrm.close(), this.route.close()]);
    this.#file.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
