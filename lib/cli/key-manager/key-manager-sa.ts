/** An SA as a key manager knows it. @module */

export interface KeyManagerSa {
  readonly proto: 'esp' | 'ah';
  readonly spi: number;
  /** Its destination; with protocol and SPI, the kernel's key of an SA. */
  readonly daddr: string;
  /** The name of the connection, or of the child SA. */
  readonly name: string;
  /** Whether it should be in the kernel now; false while it is being replaced or deleted. */
  readonly installed: boolean;
}

/** A key manager that can be asked. */
export interface KeyManager {
  /** `strongSwan`, `libreswan`. */
  readonly name: string;
  /** @throws Error that says what was asked, and why there is no answer */
  listSas(): Promise<KeyManagerSa[]>;
}

/** Milliseconds in which a key manager has to answer. */
export const PATIENCE = 10_000;
