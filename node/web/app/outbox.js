// Messages on their way to the node. Each is kept until the node has it on disk, with one
// pending_post_id, by which the node makes it once however often it is asked.
import { waitMs } from './sequence.js';

/** Messages that wait at most: more than anybody types while a node is away. */
export const WAITING_MOST = 200;
/** An item that waited for longer than this is sent only if the same partners as then would receive it. */
export const STALE_MS = 15_000;

/** @typedef {import('./types.js').OutboxItem & {expected?: string[], sentId?: string}} Item */

/**
 * The name under which an item asks to be made once.
 * @param {string} userId
 * @param {number} nowMs
 * @param {() => number} [random]
 */
export function pendingId(userId, nowMs, random = Math.random) {
  const tail = Math.floor(random() * 36 ** 6).toString(36).padStart(6, '0');
  return `${userId}:${nowMs}${tail}`;
}

/**
 * The item that is next: the oldest of each channel first, so that the order stays; one that failed
 * or waits for its time holds up none but those behind it in its channel.
 * @param {Item[]} items
 * @param {number} nowMs
 * @returns {Item | null}
 */
export function nextItem(items, nowMs) {
  /** @type {Set<string>} */
  const held = new Set();
  for (const item of items) {
    if (item.state === 'failed') continue;
    if (held.has(item.channelId)) continue;
    if (item.state === 'waiting' && item.nextMs <= nowMs) return item;
    held.add(item.channelId);
  }
  return null;
}

/**
 * When to look again, or null where nothing waits.
 * @param {Item[]} items
 */
export function nextTime(items) {
  const times = items.filter((it) => it.state === 'waiting').map((it) => it.nextMs);
  return times.length === 0 ? null : Math.min(...times);
}

/**
 * What becomes of an item whose sending failed: it waits where the node was not reached or was busy,
 * and fails where the node refused it.
 * @param {Item} item
 * @param {{status: number, message: string, retryAfter?: number}} error
 * @param {number} nowMs
 * @param {() => number} [random]
 * @returns {Item}
 */
export function afterFailure(item, error, nowMs, random = Math.random) {
  const again = error.status === 0 || error.status === 401 || error.status === 429 || error.status >= 500;
  if (!again) return { ...item, state: 'failed', error: error.message };
  const wait = Math.max((error.retryAfter ?? 0) * 1000, waitMs(item.tries, random));
  return { ...item, state: 'waiting', tries: item.tries + 1, nextMs: nowMs + wait, error: '' };
}

/**
 * Who would receive a message now and was not among those whom its writer was told of.
 * @param {string[] | undefined} expected
 * @param {string[]} receives
 */
export function newReaders(expected, receives) {
  if (!expected || expected.length === 0) return [];
  return receives.filter((partner) => !expected.includes(partner));
}

/**
 * The items of a user as they are kept: each under a key of its own, so that two windows do not
 * overwrite each other's.
 * @param {Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>} storage
 * @param {string} userId
 */
export function outboxStorage(storage, userId) {
  const prefix = `comity.outbox.${userId}.`;
  return {
    prefix,
    /** @returns {Item[]} the oldest first; what was being sent waits again */
    load() {
      /** @type {Item[]} */
      const items = [];
      for (let at = 0; at < storage.length; at += 1) {
        const key = storage.key(at);
        if (!key?.startsWith(prefix)) continue;
        try {
          const item = JSON.parse(storage.getItem(key) ?? '');
          if (typeof item.id === 'string' && item.userId === userId) items.push(item);
        } catch {
          // What does not read back was never whole.
        }
      }
      items.sort((one, other) => one.createdMs - other.createdMs || (one.id < other.id ? -1 : 1));
      return items.map((it) => (it.state === 'sending' ? { ...it, state: 'waiting', nextMs: 0 } : it));
    },
    /** @param {Item} item */
    keep(item) {
      storage.setItem(prefix + item.id, JSON.stringify(item));
    },
    /** @param {string} id */
    drop(id) {
      storage.removeItem(prefix + id);
    },
  };
}
