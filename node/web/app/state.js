// What the page knows, in one store.
import { createStore, storeHook } from './store.js';
import { parseRoute } from './route.js';

/**
 * @typedef {{
 *   route: import('./types.js').Route,
 *   phase: 'starting' | 'login' | 'ready' | 'failed',
 *   failure: string,
 *   me: import('./types.js').User | null,
 *   partner: string,
 *   config: Record<string, string>,
 *   teams: import('./types.js').Team[],
 *   channels: Record<string, import('./types.js').Channel>,
 *   members: Record<string, import('./types.js').Member>,
 *   users: Record<string, import('./types.js').User>,
 *   statuses: Record<string, string>,
 *   categories: Record<string, import('./types.js').Category[]>,
 *   preferences: Record<string, string>,
 *   partners: Record<string, {state: string, connected: boolean, behind_events: number}>,
 *   channelId: string,
 *   target: {channelId: string, postId: string} | null,
 *   pane: {kind: string, id: string} | null,
 *   sheet: {kind: string, [key: string]: any} | null,
 *   connection: {state: 'connecting' | 'open' | 'waiting' | 'off', retryMs: number, since: number},
 *   typing: Record<string, {userId: string, rootId: string, untilMs: number}[]>,
 *   drafts: Record<string, any>,
 *   outbox: import('./types.js').OutboxItem[],
 *   delivery: Record<string, import('./types.js').Delivery>,
 *   readers: Record<string, import('./types.js').ChannelPartner[]>,
 *   toasts: {id: number, text: string, bad: boolean, action?: {label: string, run: () => void}}[],
 *   side: boolean,
 * }} State
 */

/** @returns {State} */
function initial() {
  return {
    route: typeof location === 'undefined' ? parseRoute('/') : parseRoute(location.pathname + location.search),
    phase: 'starting',
    failure: '',
    me: null,
    partner: '',
    config: {},
    teams: [],
    channels: {},
    members: {},
    users: {},
    statuses: {},
    categories: {},
    preferences: {},
    partners: {},
    channelId: '',
    target: null,
    pane: null,
    sheet: null,
    connection: { state: 'off', retryMs: 0, since: 0 },
    typing: {},
    drafts: {},
    outbox: [],
    delivery: {},
    readers: {},
    toasts: [],
    side: false,
  };
}

/** The page's store. */
export const store = createStore(initial());
/** Draws a view anew when what it takes of the store changes. */
export const useStore = storeHook(store);

/** Forgets all that belongs to a user: the next one sees nothing of it. */
export function forgetUser() {
  const { route, config } = store.get();
  store.set({ ...initial(), route, config, phase: 'login' });
}

/**
 * Goes to a path of the page.
 * @param {string} path
 * @param {{replace?: boolean}} [how]
 */
export function navigate(path, how = {}) {
  if (path !== location.pathname + location.search) {
    if (how.replace) history.replaceState(null, '', path);
    else history.pushState(null, '', path);
  }
  store.set({ route: parseRoute(path) });
}

/** How long a word of what happened stays: long enough to read twenty words. */
const TOAST_MS = 6_000;
/** More would hide the page. */
const TOASTS = 3;
let nextToast = 1;

/**
 * Says in a corner what happened.
 * @param {string} text
 * @param {{bad?: boolean, action?: {label: string, run: () => void}}} [how]
 */
export function toast(text, how = {}) {
  const id = nextToast++;
  store.set((state) => ({ toasts: [...state.toasts, { id, text, bad: how.bad ?? false, action: how.action }].slice(-TOASTS) }));
  setTimeout(() => dropToast(id), how.bad ? 2 * TOAST_MS : TOAST_MS);
}

/** @param {number} id */
export function dropToast(id) {
  store.set((state) => ({ toasts: state.toasts.filter((it) => it.id !== id) }));
}

/**
 * Says what went wrong, in the node's words.
 * @param {unknown} error
 * @param {string} [what]
 */
export function toastError(error, what) {
  const text = error instanceof Error ? error.message : String(error);
  toast(what ? `${what}: ${text}` : text, { bad: true });
}
