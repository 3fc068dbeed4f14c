/**
 * A NAT that hosts are behind: it carries UDP to ports 500 and 4500 of a server, as IKE and ESP in UDP are sent, from an
 * address and ports of its own. It is Node that carries them, so it needs no kernel with NAT, and can forget its
 * mappings when told to. It stands still while the test blocks the event loop.
 * @module
 */
import type { Socket } from 'node:dgram';
import { cable, Host } from './host.ts';

/** IKE, and IKE and ESP through a NAT (RFC 3948). */
const PORTS = [500, 4500] as const;

interface Mapping {
  readonly port: (typeof PORTS)[number];
  readonly inside: { readonly address: string; readonly port: number };
  outside: Socket;
}

/** A NAT that hosts are behind, for UDP to ports 500 and 4500. */
/** A NAT before a server: see {@link roadWarriors}. */
export class Nat implements AsyncDisposable {
  /** The address that the server sees. */
  readonly address: string;
  /** Packets that were carried, in either direction. */
  packets = 0;
  /** Decides what becomes of a packet: `false` loses it. Default: all pass. */
  filter: (packet: Buffer, toServer: boolean) => boolean = () => true;
  readonly #server: Host;
  /** Where the clients are: it has the server's address to them. */
  readonly inside: Host;
  readonly #outside: Host;
  readonly #mappings = new Map<string, Mapping>();

  /** Puts a NAT of some address before a server. */
  static async open(server: Host, address: string): Promise<Nat> {
    const inside = await Host.create({ name: 'nat inside', address: server.address });
    const outside = await Host.create({ name: 'nat', address });
    const nat = new Nat(server, inside, outside);
    await cable(outside, server);
    await inside.addAddress(server.address); // also before there is a client
    for (const port of PORTS) {
      const socket = await inside.udp(server.address, port);
      socket.on('message', (packet, from) => void nat.#carry(port, socket, packet, from));
    }
    return nat;
  }

  private constructor(server: Host, inside: Host, outside: Host) {
    this.inside = inside;
    [this.#server, this.#outside] = [server, outside];
    this.address = outside.address;
  }

  /** Puts a host behind it. */
  connect(client: Host): Promise<void> {
    return cable(client, this.inside);
  }

  /** Forgets where its clients were seen: their next packets come from other ports, as after a restart of a router. */
  rebind(): void {
    for (const { outside } of this.#mappings.values()) outside.close();
    this.#mappings.clear();
  }

  async #carry(port: Mapping['port'], back: Socket, packet: Buffer, from: Mapping['inside']) {
    if (!this.filter(packet, true)) return;
    const key = `${port} ${from.address} ${from.port}`;
    let mapping = this.#mappings.get(key);
    if (mapping === undefined) {
      const outside = await this.#outside.udp(this.address);
      mapping = { port, inside: from, outside };
      this.#mappings.set(key, mapping);
      outside.on('message', (answer) => {
        if (!this.filter(answer, false)) return;
        this.packets++;
        back.send(answer, from.port, from.address);
      });
    }
    this.packets++;
    mapping.outside.send(packet, port, this.#server.address);
  }

  /** Removes it, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outside.close();
    await this.inside.close();
  }
}
