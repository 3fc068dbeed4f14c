/**
 * A NAT in front of a server: it forwards UDP to ports 500 and 4500 (IKE, and ESP in UDP) from its own address and
 * ports. Node does the forwarding, so it needs no NAT in the kernel and can drop its mappings on demand. It stops
 * while the test blocks the event loop.
 * @module
 */
import type { Socket } from 'node:dgram';
import { cable, Host } from './host.ts';

/** IKE, and NAT traversal for IKE and ESP (RFC 3948). */
const PORTS = [500, 4500] as const;

interface Mapping {
  readonly port: (typeof PORTS)[number];
  readonly inside: { readonly address: string; readonly port: number };
  outside: Socket;
}

/** A NAT in front of a server, for UDP to ports 500 and 4500: see {@link roadWarriors}. */
export class Nat implements AsyncDisposable {
  /** The address that the server sees. */
  readonly address: string;
  /** Packets forwarded, in either direction. */
  packets = 0;
  /** Decides about each packet: `false` drops it. Default: all pass. */
  filter: (packet: Buffer, toServer: boolean) => boolean = () => true;
  readonly #server: Host;
  /** The clients' side: a namespace that has the server's address. */
  readonly inside: Host;
  readonly #outside: Host;
  readonly #mappings = new Map<string, Mapping>();

  /** Puts a NAT with its own address in front of a server. */
  static async open(server: Host, address: string): Promise<Nat> {
    const inside = await Host.create({ name: 'nat inside', address: server.address });
    const outside = await Host.create({ name: 'nat', address });
    const nat = new Nat(server, inside, outside);
    await cable(outside, server);
    await inside.addAddress(server.address); // before there is a client, too
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

  /** Connects a host behind it. */
  connect(client: Host): Promise<void> {
    return cable(client, this.inside);
  }

  /** Drops its mappings: the clients' next packets come from other ports, as after a router restart. */
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
