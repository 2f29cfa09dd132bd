// Sends what the outbox holds, one of each channel at a time.
import { api, ApiError } from './api.js';
import { store } from './state.js';
import { takePosted, patchPost, knownPost } from './feeds.js';
import { afterFailure, newReaders, nextItem, nextTime, outboxStorage, pendingId, STALE_MS, WAITING_MOST } from './outbox.js';
import { listed } from './audience.js';

/** @typedef {import('./outbox.js').Item} Item */

/** @type {ReturnType<typeof outboxStorage> | null} */
let kept = null;
/** @type {any} */
let timer = null;
let running = false;

/** Takes up what waits since the page was last open. */
export function openOutbox() {
  const { me } = store.get();
  if (!me) return;
  kept = outboxStorage(localStorage, me.id);
  store.set({ outbox: kept.load() });
  window.addEventListener('storage', elsewhere);
  flush();
}

/** Ends sending; what waits stays kept. */
export function closeOutbox() {
  window.removeEventListener('storage', elsewhere);
  clearTimeout(timer);
  kept = null;
}

/** Another window of this browser sent or wrote something. @param {StorageEvent} event */
function elsewhere(event) {
  if (!kept || !event.key?.startsWith(kept.prefix)) return;
  const own = new Map(store.get().outbox.map((it) => [it.id, it]));
  // What the other window sends is its affair; it is shown here, and sent here if it stays.
  store.set({ outbox: kept.load().map((it) => own.get(it.id) ?? { ...it, nextMs: Date.now() + STALE_MS }) });
  flush();
}

/** @param {string} id @param {Partial<Item> | null} patch null takes it out */
function change(id, patch) {
  store.set((state) => ({
    outbox: patch === null ? state.outbox.filter((it) => it.id !== id) : state.outbox.map((it) => (it.id === id ? { ...it, ...patch } : it)),
  }));
  const item = store.get().outbox.find((it) => it.id === id);
  if (item) kept?.keep(item);
  else kept?.drop(id);
}

/**
 * Puts a message into the outbox. It throws where there is no room for it, so that the text stays
 * where it was written.
 * @param {{channelId: string, rootId: string, message: string, files: import('./types.js').FileInfo[], to: string[], expected: string[]}} what
 */
export function send(what) {
  const { me, outbox } = store.get();
  if (!me || !kept) throw new Error('Nobody is logged in.');
  if (outbox.length >= WAITING_MOST) throw new Error(`${WAITING_MOST} messages wait to be sent. Wait until the node is reached, or discard some.`);
  const now = Date.now();
  /** @type {Item} */
  const item = { id: pendingId(me.id, now), userId: me.id, createdMs: now, state: 'waiting', error: '', tries: 0, nextMs: 0, fileIds: what.files.map((it) => it.id), ...what };
  kept.keep(item);
  store.set({ outbox: [...outbox, item] });
  flush();
}

/**
 * Sends a message that failed once more.
 * @param {string} id
 */
export function retry(id) {
  // Whoever presses it has read who would receive it.
  change(id, { state: 'waiting', nextMs: 0, error: '', expected: [] });
  flush();
}

/**
 * Takes a message out without sending it.
 * @param {string} id
 */
export function discard(id) {
  change(id, null);
}

/** Sends at once what waits: the node is reached again. */
export function hurry() {
  store.set((state) => ({ outbox: state.outbox.map((it) => (it.state === 'waiting' ? { ...it, nextMs: 0 } : it)) }));
  flush();
}

/** Sends what is due. */
export async function flush() {
  clearTimeout(timer);
  if (running || !kept) return;
  running = true;
  try {
    for (;;) {
      const item = /** @type {Item | null} */ (nextItem(store.get().outbox, Date.now()));
      if (!item || !kept) break;
      await sendOne(item);
    }
  } finally {
    running = false;
  }
  const next = nextTime(store.get().outbox);
  if (next !== null && kept) timer = setTimeout(flush, Math.max(100, next - Date.now()));
}

/** @param {Item} item */
async function sendOne(item) {
  change(item.id, { state: 'sending' });
  try {
    if (Date.now() - item.createdMs > STALE_MS && item.expected?.length) {
      const now = await api.post(`/api/comity/v1/channels/${item.channelId}/audience`, { to: item.to, root_id: item.rootId });
      const added = newReaders(item.expected, now.receives);
      if (added.length > 0) {
        change(item.id, { state: 'failed', error: `Not sent: ${listed(added)} would receive it, too, and was not among those you wrote for. Send it again if that is right.` });
        return;
      }
    }
    const post = await api.post('/api/v4/posts', {
      channel_id: item.channelId,
      message: item.message,
      root_id: item.rootId,
      file_ids: item.fileIds,
      pending_post_id: item.id,
      props: item.to.length > 0 ? { comity_to: item.to } : {},
    });
    if (knownPost(post.id)) patchPost(post.id, () => post);
    else takePosted(post);
    change(item.id, null);
  } catch (error) {
    const failure = error instanceof ApiError ? error : new ApiError(0, 'page', String(error));
    const { state, error: why, tries, nextMs } = afterFailure(item, failure, Date.now());
    change(item.id, { state, error: why, tries, nextMs });
  }
}

/**
 * An own post was told of before its request was answered: its entry in the outbox is not shown beside it.
 * @param {import('./types.js').Post} post
 */
export function noteEcho(post) {
  const item = /** @type {Item[]} */ (store.get().outbox).find((it) => it.state === 'sending' && it.channelId === post.channel_id && it.rootId === post.root_id && it.message === post.message && !it.sentId);
  if (item) store.set((state) => ({ outbox: state.outbox.map((it) => (it.id === item.id ? /** @type {any} */ ({ ...it, sentId: post.id }) : it)) }));
}
