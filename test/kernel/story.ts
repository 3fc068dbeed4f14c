/**
 * What a monitor tells of tunnels, as lines that are the same on every run: no times, and SPIs named in
 * the order in which they are reported.
 * @module
 */
import type { TunnelChange, TunnelDownReason, TunnelMonitor } from '../../lib/index.ts';

/** Milliseconds after which a line that was caused counts as missing. */
const PATIENCE = 600_000;

export class Story {
  readonly lines: string[] = [];
  readonly #spis: number[] = [];
  #heard = 0;
  #added = () => {};

  constructor(monitor: TunnelMonitor) {
    monitor.on('change', (change) => {
      const line = this.#line(change);
      if (line === undefined) return;
      this.lines.push(line);
      this.#added();
    });
  }

  /** Waits until a line with this prefix has been reported since the last wait. */
  async tells(beginning: string): Promise<void> {
    const begun = this.#heard;
    const ended = performance.now() + PATIENCE;
    for (;;) {
      const found = this.lines.slice(this.#heard).findIndex((line) => line.startsWith(beginning));
      if (found >= 0) {
        this.#heard += found + 1;
        return;
      }
      const left = ended - performance.now();
      if (left <= 0) {
        throw new Error(
          `waited for “${beginning}”; told was\n${this.lines.slice(begun).join('\n')}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#added = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** All lines since the last call. */
  chapter(): string[] {
    this.#heard = 0;
    return this.lines.splice(0);
  }

  #line(change: TunnelChange): string | undefined {
    switch (change.kind) {
      // They come with time, and find what no event announces: policies of sockets, larval SAs.
      case 'refreshed':
      case 'resynced':
        return undefined;
      case 'rekeyed': {
        const all = (['out', 'in'] as const).flatMap((direction) =>
          change[direction].map(({ from, to, gapMs = 0 }) => {
            const spis = `${this.#name(from)} to ${this.#name(to)}`;
            return `${direction} ${spis}${gapMs > 0 ? ' after a gap' : ''}`;
          }),
        );
        return `rekeyed: ${all.join(', ')}`;
      }
      // `rekeyed` tells of both directions.
      case 'replaced':
        return undefined;
      case 'added':
        return `added: ${change.tunnel.state}`;
      case 'up':
        return change.before === undefined ? 'up' : `up: was ${change.before}`;
      case 'down':
        return `down: ${change.tunnel.state}, was ${change.before}, ${causeOf(change.reason)}`;
      case 'stalled':
        return `stalled: was ${change.before}`;
      case 'state':
        return `state: ${change.tunnel.state}, was ${change.before}`;
      case 'warning': {
        const { kind, what } = change.warning;
        const name = what === '' ? kind : `${kind} ${what}`;
        return change.raised ? `warning: ${name}` : `warning over: ${name}`;
      }
      default:
        return change.kind;
    }
  }

  #name(spi: number): string {
    if (!this.#spis.includes(spi)) this.#spis.push(spi);
    return `SA ${this.#spis.indexOf(spi) + 1}`;
  }
}

function causeOf(cause: TunnelDownReason): string {
  if (!('by' in cause)) return cause.kind;
  const { by } = cause;
  return by ? `${cause.kind}, claimed by ${by.process ?? `port ${by.portId}`}` : cause.kind;
}
