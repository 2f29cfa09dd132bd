// How far messages have come: asked for what is seen, a few at a time, until it is final.
import { api } from './api.js';
import { store } from './state.js';

/** Questions at a time: many messages come into view at once. */
const AT_ONCE = 4;
/** What is not final is asked again after these times: soon after sending, then seldom. */
const AGAIN_MS = [700, 1_500, 3_000, 6_000, 15_000, 30_000, 60_000];
/** Answers that are kept: some screens; the oldest are forgotten first. */
const KEPT_MOST = 400;

/** @type {Map<string, {nextMs: number, tries: number}>} messages in view that are not final */
const seen = new Map();
let asking = 0;
/** @type {any} */
let timer = null;

/**
 * A message came into view, or went out of it.
 * @param {string} id
 * @param {boolean} inView
 */
export function watchDelivery(id, inView) {
  if (!inView) {
    seen.delete(id);
    return;
  }
  if (store.get().delivery[id]?.final || seen.has(id)) return;
  seen.set(id, { nextMs: 0, tries: 0 });
  later(60);
}

/** Something happened in a channel: what is in view may have come further. */
export function nudgeDelivery() {
  const now = performance.now();
  for (const it of seen.values()) {
    it.tries = Math.min(it.tries, 2);
    it.nextMs = Math.min(it.nextMs, now + AGAIN_MS[1]);
  }
  later(AGAIN_MS[1]);
}

/** Forgets all. */
export function dropDelivery() {
  seen.clear();
  clearTimeout(timer);
  timer = null;
}

/** @param {number} ms */
function later(ms) {
  clearTimeout(timer);
  timer = setTimeout(look, ms);
}

function look() {
  timer = null;
  if (document.visibilityState !== 'visible') {
    if (seen.size > 0) later(5_000);
    return;
  }
  const now = performance.now();
  let soonest = Infinity;
  for (const [id, it] of seen) {
    if (asking >= AT_ONCE) break;
    if (it.nextMs <= now) {
      it.nextMs = Infinity;
      ask(id);
    }
  }
  for (const it of seen.values()) soonest = Math.min(soonest, it.nextMs);
  if (soonest < Infinity && timer === null) later(Math.max(50, soonest - now));
}

/** @param {string} id */
async function ask(id) {
  asking += 1;
  try {
    learnDelivery(await api.get(`/api/comity/v1/posts/${id}`));
  } catch {
    // Asked again in its time.
  } finally {
    asking -= 1;
  }
  const it = seen.get(id);
  if (it) {
    if (store.get().delivery[id]?.final) seen.delete(id);
    else {
      it.nextMs = performance.now() + AGAIN_MS[Math.min(it.tries, AGAIN_MS.length - 1)];
      it.tries += 1;
    }
  }
  look();
}

/**
 * Takes what the node says of a message.
 * @param {import('./types.js').Delivery} told
 */
export function learnDelivery(told) {
  store.set((state) => {
    if (JSON.stringify(state.delivery[told.post_id]) === JSON.stringify(told)) return {};
    const kept = { ...state.delivery, [told.post_id]: told };
    const ids = Object.keys(kept);
    if (ids.length > KEPT_MOST) for (const id of ids.slice(0, ids.length - KEPT_MOST)) if (!seen.has(id)) delete kept[id];
    return { delivery: kept };
  });
}
