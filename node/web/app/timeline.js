// The stretch of a channel's posts that is loaded: ids, oldest first, in the order that the node
// gives. Pure: every function returns a new stretch.

/**
 * @typedef {{ids: string[], hasOlder: boolean, hasNewer: boolean}} Stretch
 */

/** Posts of one channel that are held at most: some forty screens, and a bound for the memory. */
export const LOADED_MOST = 2_000;
/** Posts that one request brings: two screens. */
export const PAGE = 60;

/** @type {Stretch} */
export const NOTHING = { ids: [], hasOlder: true, hasNewer: true };

/**
 * Adds a page of older posts before what is there.
 * @param {Stretch} stretch
 * @param {string[]} older oldest first
 * @param {boolean} hasOlder
 * @returns {Stretch}
 */
export function joinOlder(stretch, older, hasOlder) {
  const known = new Set(stretch.ids);
  return { ...stretch, ids: [...older.filter((id) => !known.has(id)), ...stretch.ids], hasOlder };
}

/**
 * Adds a page of newer posts after what is there.
 * @param {Stretch} stretch
 * @param {string[]} newer oldest first
 * @param {boolean} hasNewer
 * @returns {Stretch}
 */
export function joinNewer(stretch, newer, hasNewer) {
  const known = new Set(stretch.ids);
  return { ...stretch, ids: [...stretch.ids, ...newer.filter((id) => !known.has(id))], hasNewer };
}

/**
 * Puts a post that has come at the end; a stretch that does not reach the newest posts stays as it is.
 * @param {Stretch} stretch
 * @param {string} id
 * @returns {Stretch}
 */
export function append(stretch, id) {
  if (stretch.hasNewer || stretch.ids.includes(id)) return stretch;
  return { ...stretch, ids: [...stretch.ids, id] };
}

/**
 * Puts a post where it slipped in: after the one before it, or first where that is none. Where its
 * neighbour is not loaded it is not shown yet, and comes with its page.
 * @param {Stretch} stretch
 * @param {string} id
 * @param {string} before the id of the post before it, or '' for none
 * @returns {Stretch}
 */
export function slipIn(stretch, id, before) {
  const ids = stretch.ids.filter((it) => it !== id);
  if (before === '') return stretch.hasOlder ? { ...stretch, ids } : { ...stretch, ids: [id, ...ids] };
  const at = ids.indexOf(before);
  if (at < 0) return { ...stretch, ids };
  if (at === ids.length - 1 && stretch.hasNewer) return { ...stretch, ids };
  return { ...stretch, ids: [...ids.slice(0, at + 1), id, ...ids.slice(at + 1)] };
}

/**
 * Takes a post out.
 * @param {Stretch} stretch
 * @param {string} id
 * @returns {Stretch}
 */
export function remove(stretch, id) {
  if (!stretch.ids.includes(id)) return stretch;
  return { ...stretch, ids: stretch.ids.filter((it) => it !== id) };
}

/**
 * Brings the latest posts in the order that the node gives now. Where they do not meet what is
 * loaded, there is a gap that nobody should overlook: then they replace it.
 * @param {Stretch} stretch
 * @param {string[]} latest oldest first
 * @param {boolean} hasOlder whether there are posts before these
 * @returns {Stretch}
 */
export function joinLatest(stretch, latest, hasOlder) {
  if (latest.length === 0) return { ids: [], hasOlder: false, hasNewer: false };
  const inLatest = new Set(latest);
  const meets = stretch.ids.findIndex((id) => inLatest.has(id));
  if (meets < 0 || (stretch.ids.length > 0 && !hasOlder)) return { ids: latest, hasOlder, hasNewer: false };
  const kept = stretch.ids.slice(0, meets).filter((id) => !inLatest.has(id));
  return { ids: [...kept, ...latest], hasOlder: kept.length > 0 ? stretch.hasOlder : hasOlder, hasNewer: false };
}

/**
 * Forgets posts at the far end where more are loaded than is held.
 * @param {Stretch} stretch
 * @param {'older' | 'newer'} forget which end is far
 * @param {number} [most]
 * @returns {Stretch}
 */
export function trim(stretch, forget, most = LOADED_MOST) {
  if (stretch.ids.length <= most) return stretch;
  return forget === 'older'
    ? { ...stretch, ids: stretch.ids.slice(-most), hasOlder: true }
    : { ...stretch, ids: stretch.ids.slice(0, most), hasNewer: true };
}

/**
 * The id at which unread posts begin: the first that came after the last look and is not one's own.
 * @param {string[]} ids
 * @param {(id: string) => {create_at: number, update_at: number, user_id: string} | undefined} post
 * @param {number} lastViewed
 * @param {string} me
 */
export function firstUnread(ids, post, lastViewed, me) {
  if (!lastViewed) return '';
  for (const id of ids) {
    const it = post(id);
    if (it && it.user_id !== me && it.create_at > lastViewed) return id;
  }
  return '';
}
