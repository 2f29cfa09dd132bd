// Which of the loaded posts are in the document: a window of bounded size that moves as one scrolls.
// Pure.

/** Posts in the document at most: four screens of short ones. */
export const SHOWN_MOST = 160;
/** Posts by which the window moves at a time: one screen or more, drawn within a frame or two. */
export const STEP = 40;

/**
 * A window: from a post on, or the last posts where `first` is ''.
 * @typedef {{first: string}} Window
 */

/**
 * The part of the list that a window shows.
 * @param {string[]} ids
 * @param {Window} window
 * @returns {{start: number, end: number}}
 */
export function shown(ids, window) {
  const last = Math.max(0, ids.length - SHOWN_MOST);
  if (window.first === '') return { start: last, end: ids.length };
  const at = ids.indexOf(window.first);
  const start = at < 0 ? last : at;
  return { start, end: Math.min(ids.length, start + SHOWN_MOST) };
}

/** @param {string[]} ids @param {number} start @returns {Window} */
function from(ids, start) {
  const most = Math.max(0, ids.length - SHOWN_MOST);
  return start >= most ? { first: '' } : { first: ids[Math.max(0, start)] };
}

/**
 * The window one step up.
 * @param {string[]} ids
 * @param {Window} window
 */
export function up(ids, window) {
  const { start } = shown(ids, window);
  return start === 0 ? window : { first: ids[Math.max(0, start - STEP)] };
}

/**
 * The window one step down.
 * @param {string[]} ids
 * @param {Window} window
 */
export function down(ids, window) {
  const { start, end } = shown(ids, window);
  return end >= ids.length ? window : from(ids, start + STEP);
}

/**
 * The window in which a post is, with posts before and after it.
 * @param {string[]} ids
 * @param {string} id
 */
export function around(ids, id) {
  const at = ids.indexOf(id);
  return at < 0 ? { first: '' } : from(ids, Math.max(0, at - Math.floor(SHOWN_MOST / 2)));
}

/**
 * Pins a window that follows the end to where it is, when one begins to read further up.
 * @param {string[]} ids
 * @param {Window} window
 */
export function hold(ids, window) {
  if (window.first !== '' || ids.length === 0) return window;
  return { first: ids[shown(ids, window).start] };
}
