/** Small signs that are said as words, too. @module */
import type { TunnelState } from '../lib/tunnel/tunnel.ts';

/** A state as a word on its colour; the shape before it differs, too. */
export const StateMark = ({ state }: { readonly state: TunnelState }) => (
  <span class={`mark ${state}`}>{state}</span>
);

export const Tick = ({ direction }: { readonly direction: 'in' | 'out' }) => (
  <>
    <span aria-hidden="true" class="tick">
      {direction === 'out' ? '▲' : '▼'}
    </span>
    <span class="unseen">{direction}</span>
  </>
);
