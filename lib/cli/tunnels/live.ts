/**
 * `tunnels --watch` on a terminal: a live view in full screen.
 * @module
 */
import { aborted } from 'node:util';
import type { TunnelFilter } from '../../tunnel/tunnel-filter.ts';
import type { TunnelMonitorOptions } from '../../tunnel/tunnel-monitor.ts';
import { endedBySignal } from '../events/ended.ts';
import type { Colors } from '../terminal/colors.ts';
import { hearKeys } from '../terminal/keyboard.ts';
import { Screen } from '../terminal/screen.ts';
import { frameLines, mostAbove, viewStateOf } from './frame.ts';
import { openTunnels } from './open.ts';
import { RateMeter } from './rate-meter.ts';
import { rowsOf } from './tunnel-table.ts';

/** Milliseconds between two frames. */
const FRAME = 125;
/** Milliseconds after which to redraw even without changes: durations grow. */
const TICK = 1000;

/**
 * Shows the tunnels until it is interrupted. If the monitor fails, the screen stays and shows the error.
 *
 * @throws what opening throws; on exit, the error that the monitor failed with
 */
export async function showTunnels(
  options: TunnelMonitorOptions,
  filter: TunnelFilter,
  colors: Colors,
): Promise<void> {
  const ended = endedBySignal();
  await using monitor = await openTunnels(options, ended.signal);
  if (monitor === undefined) return;
  const screen = new Screen(process.stdout);
  const rates = new RateMeter();
  let doubted: number | undefined;
  let failed: { message: string; at: number; error: Error } | undefined;
  let last = monitor.snapshot();
  let above = 0;
  let framed = Date.now();

  const frame = () => {
    const now = Date.now();
    if (!monitor.closed) last = monitor.snapshot();
    // A suspended process could not have resynced.
    const paused = now - framed > 2 * TICK;
    framed = now;
    doubted = last.synced ? undefined : paused ? now : (doubted ?? now);
    rates.update(last);
    const tunnels = last.tunnels.filter((one) => filter.matches(one));
    const { warnings, countersReadAt } = last;
    const { columns, rows } = screen.size;
    above = Math.min(above, mostAbove(rowsOf(tunnels).length, warnings.length, rows));
    const view = viewStateOf(doubted, failed, now);
    const of = (id: string) => rates.of(id);
    const lines = {
      tunnels,
      warnings,
      countersReadAt: countersReadAt.wall,
      view,
      rates: of,
      above,
      columns,
      rows,
      now,
    };
    screen.draw(frameLines(lines, colors));
  };
  const throttle = new RedrawThrottle(frame);
  const restore = () => screen.close();
  const suspend = () => {
    screen.close();
    stopKeys();
    // The whole job, including sudo and npx. If no shell could resume it, the kernel ignores the signal.
    process.kill(0, 'SIGTSTP');
    setTimeout(() => {
      if (ended.signal.aborted) return;
      stopKeys = hearKeys(press);
      screen.open();
      throttle.soon();
    }, FRAME);
  };
  const press = (key: string) => {
    const page = Math.max(1, screen.size.rows - 4);
    if (key === 'q' || key === 'ctrl-c') return ended.abort();
    if (key === 'ctrl-z') return suspend();
    const by = { up: -1, k: -1, down: 1, j: 1, pageup: -page, pagedown: page }[key];
    if (by !== undefined) above = Math.max(0, above + by);
    else if (key === 'home') above = 0;
    else if (key === 'end') above = Number.MAX_SAFE_INTEGER;
    else return;
    throttle.soon();
  };
  const soon = () => throttle.soon();

  monitor.on('change', soon);
  monitor.on('error', (error) => {
    failed = { message: error.message, at: Date.now(), error };
    throttle.soon();
  });
  process.on('exit', restore);
  process.stdout.on('resize', soon);
  let stopKeys = hearKeys(press);
  // Keeps the process alive even after the monitor failed.
  const tick = setInterval(soon, TICK);
  try {
    screen.open();
    frame();
    await aborted(ended.signal, ended);
  } finally {
    clearInterval(tick);
    throttle.stop();
    stopKeys();
    process.stdout.off('resize', soon);
    process.off('exit', restore);
    screen.close();
  }
  if (failed) throw failed.error;
}

/** Draws on request, but at most every {@link FRAME}. */
class RedrawThrottle {
  readonly #draw: () => void;
  #timer: NodeJS.Timeout | undefined;
  #last = 0;

  constructor(draw: () => void) {
    this.#draw = draw;
  }

  soon(): void {
    if (this.#timer) return;
    const wait = Math.max(0, this.#last + FRAME - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#last = performance.now();
      this.#draw();
    }, wait);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.soon = () => {};
  }
}
