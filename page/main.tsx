/** The page: connects, keeps the model, and draws it anew after changes. @module */
import { render } from 'preact';
import { App } from './app.tsx';
import { Session } from './session.ts';

const root = document.getElementById('page') as HTMLElement;

/** Milliseconds between two drawings: at least, and at most if drawing takes long. */
const PAUSE = 100;
const LONG = 500;

let due: ReturnType<typeof setTimeout> | undefined;
let last = -Infinity;
let took = 0;

const session = new Session(() => {
  if (due !== undefined) return;
  // Not at the next frame: a tab in the background has none, and its title is seen.
  const wait = last + Math.min(LONG, Math.max(PAUSE, 2 * took)) - performance.now();
  due = setTimeout(draw, Math.max(0, wait));
});

function draw(): void {
  due = undefined;
  const start = performance.now();
  const focused = document.activeElement;
  render(<App session={session} />, root);
  // A row that moved has lost the focus.
  if (focused instanceof HTMLElement && focused.isConnected && document.activeElement !== focused) {
    focused.focus({ preventScroll: true });
  }
  document.title = session.title;
  last = performance.now();
  took = last - start;
}

draw();
session.run();
