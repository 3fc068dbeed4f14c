/** The part of the address after `#`, which says what is shown. @module */
import { ORDERS, type Order } from './select.ts';

/** What is shown, as the address says: `#/?q=paris`, `#/tunnel/…`, `#/log`. */
export type View =
  | { readonly name: 'list'; readonly query: string; readonly order: Order; readonly page: number }
  | { readonly name: 'tunnel'; readonly key: string }
  | { readonly name: 'log'; readonly query: string };

export type ListAt = View & { readonly name: 'list' };

/** The address of a view. */
export function hrefOf(view: View): string {
  if (view.name === 'tunnel') return `#/tunnel/${encodeURIComponent(view.key)}`;
  const terms = new URLSearchParams();
  if (view.query !== '') terms.set('q', view.query);
  if (view.name === 'list' && view.order !== 'worst') terms.set('order', view.order);
  if (view.name === 'list' && view.page > 1) terms.set('page', String(view.page));
  const path = view.name === 'log' ? '#/log' : '#/';
  const text = String(terms);
  return text === '' ? path : `${path}?${text}`;
}

/** The address of the list of all tunnels. */
export const ALL_TUNNELS = hrefOf({ name: 'list', query: '', order: 'worst', page: 1 });

/** An address may have been typed. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The view of an address. */
export function viewOf(hash: string): View {
  const [path = '', query = ''] = hash.replace(/^#/, '').split(/\?(.*)/s);
  const terms = new URLSearchParams(query);
  const found = /^\/tunnel\/(.+)$/.exec(path)?.[1];
  if (found !== undefined) return { name: 'tunnel', key: decoded(found) };
  if (path === '/log') return { name: 'log', query: terms.get('q') ?? '' };
  const order = terms.get('order') ?? '';
  return {
    name: 'list',
    query: terms.get('q') ?? '',
    order: Object.hasOwn(ORDERS, order) ? (order as Order) : 'worst',
    page: Math.max(1, Number.parseInt(terms.get('page') ?? '1', 10) || 1),
  };
}
