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
import { EveryNamespace } from './everywhere.ts';
import { frameLines, mostAbove, viewStateOf } from './frame.ts';
import { openTunnels } from './open.ts';
import { listOf, type TunnelList } from './print-tunnels.ts';
import { RateMeter } from './rate-meter.ts';
import { rowsOf, type TunnelRatesOf } from './tunnel-table.ts';

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
  isEverywhere: boolean,
): Promise<void> {
  const ended = endedBySignal();
  await using view = await (isEverywhere ? viewEverywhere : viewOne)(options, ended.signal);
  if (view === undefined) return;
  const screen = new Screen(process.stdout);
  let doubted: number | undefined;
  let failed: { message: string; at: number; error: Error } | undefined;
  let last = view.list();
  let above = 0;
  let framed = Date.now();

  const frame = () => {
    const now = Date.now();
    if (!view.closed) last = view.list();
    // A suspended process could not have resynced.
    const paused = now - framed > 2 * TICK;
    framed = now;
    doubted = last.synced ? undefined : paused ? now : (doubted ?? now);
    const tunnels = last.tunnels.filter((one) => filter.matches(one));
    const { countersReadAt, labelOf } = last;
    const warnings = last.warnings.map(({ warning }) => warning);
    const { columns, rows } = screen.size;
    above = Math.min(above, mostAbove(rowsOf(tunnels).length, warnings.length, rows));
    const state = viewStateOf(doubted, failed, now);
    const lines = {
      tunnels,
      warnings,
      countersReadAt,
      view: state,
      rates: view.rates,
      labelOf,
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

  view.listen(soon, (error) => {
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

/** What is shown, and what can be known about it. */
interface View extends AsyncDisposable {
  readonly closed: boolean;
  list(): TunnelList & { readonly synced: boolean; readonly countersReadAt: number };
  readonly rates: TunnelRatesOf;
  listen(changed: () => void, failed: (error: Error) => void): void;
}

async function viewOne(
  options: TunnelMonitorOptions,
  signal: AbortSignal,
): Promise<View | undefined> {
  const monitor = await openTunnels(options, signal);
  if (monitor === undefined) return undefined;
  const meter = new RateMeter();
  return {
    get closed() {
      return monitor.closed;
    },
    list() {
      const snapshot = monitor.snapshot();
      meter.update(snapshot);
      const { synced, countersReadAt } = snapshot;
      return { ...listOf(snapshot), synced, countersReadAt: countersReadAt.wall };
    },
    rates: ({ id }) => meter.of(id),
    listen(changed, failed) {
      monitor.on('change', changed);
      monitor.on('error', failed);
    },
    [Symbol.asyncDispose]: () => monitor.close(),
  };
}

async function viewEverywhere(
  options: TunnelMonitorOptions,
  signal: AbortSignal,
): Promise<View | undefined> {
  const every = await EveryNamespace.open(options, signal);
  if (every === undefined) return undefined;
  const { monitors } = every;
  /** By namespace: ids are unique within one only. */
  const meters = new Map<string | null | undefined, RateMeter>();
  return {
    get closed() {
      return monitors.closed;
    },
    list() {
      for (const snapshot of monitors.snapshot()) {
        const label = every.shown(snapshot.label);
        const meter = meters.get(label) ?? new RateMeter();
        meters.set(label, meter);
        meter.update(snapshot);
      }
      return every.list();
    },
    rates: ({ id }, label) => meters.get(label)?.of(id),
    listen(changed, failed) {
      monitors.on('change', (change) => {
        if (change.kind === 'closed' && change.error) failed(change.error as Error);
        else changed();
      });
    },
    [Symbol.asyncDispose]: () => monitors.close(),
  };
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
