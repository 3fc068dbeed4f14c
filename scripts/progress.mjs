// Shows the progress of lanes: on a terminal, a line per running lane, rewritten in place; otherwise plain lines.
import { createRequire } from 'node:module';

const { createColors } = createRequire(import.meta.url)('picocolors');

/** Milliseconds between plain lines about a lane. */
const PLAIN = 30_000;
/** Milliseconds between redraws on a terminal. */
const PICTURE = 250;

/** Human-readable duration, from seconds. */
export function duration(seconds) {
  const whole = Math.round(seconds);
  return whole < 100 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/**
 * A running lane, for {@link Progress}:
 *   name, begun (ms since the epoch), tests (finished so far), test (name of one that is running),
 *   last ({ seconds, tests } of an earlier run, or undefined)
 */
function state({ begun, tests, last }) {
  const seconds = (Date.now() - begun) / 1000;
  const of = last === undefined ? '' : ` of about ${last.tests}`;
  const left = last === undefined ? 0 : last.seconds - seconds;
  const wait = left > 1 ? `, about ${duration(left)} left` : '';
  return `${tests}${of} tests, ${duration(seconds)}${wait}`;
}

export class Progress {
  #out;
  #terminal;
  #running = new Set();
  /** Lines on the screen that the next redraw replaces. */
  #drawn = 0;
  #timer;
  colors;

  constructor(out = process.stdout, env = process.env) {
    this.#out = out;
    this.#terminal = out.isTTY === true && env.TERM !== 'dumb';
    this.colors = createColors(this.#terminal && !env.NO_COLOR);
    const every = this.#terminal ? PICTURE : PLAIN;
    this.#timer = setInterval(() => this.#show(), every).unref();
  }

  /** Prints lines above those that are rewritten. */
  print(text) {
    this.#erase();
    this.#out.write(`${text}\n`);
    this.#draw();
  }

  begin(lane) {
    this.#running.add(lane);
    if (!this.#terminal) {
      const { last } = lane;
      this.print(`${lane.name} …${last ? ` (took ${duration(last.seconds)} before)` : ''}`);
    }
  }

  /** The lane has finished; `text` describes the result. */
  end(lane, text) {
    this.#running.delete(lane);
    this.print(text);
  }

  close() {
    clearInterval(this.#timer);
    this.#erase();
  }

  #show() {
    if (this.#terminal) {
      this.#erase();
      this.#draw();
      return;
    }
    for (const lane of this.#running) this.#out.write(`  ${lane.name}: ${state(lane)}\n`);
  }

  #erase() {
    // CSI A: cursor up; CSI J: erase from here on (ECMA-48).
    if (this.#drawn > 0) this.#out.write(`\x1b[${this.#drawn}A\r\x1b[J`);
    this.#drawn = 0;
  }

  #draw() {
    if (!this.#terminal) return;
    for (const lane of this.#running) {
      const text = `${lane.name}: ${state(lane)}  `;
      // Never wider than the screen: a wrapped line would be two to erase.
      const room = Math.max(20, (this.#out.columns ?? 80) - 1);
      const now = (lane.test ?? '').slice(0, Math.max(0, room - text.length));
      this.#out.write(`${text.slice(0, room)}${this.colors.dim(now)}\n`);
      this.#drawn += 1;
    }
  }
}
