// Characters that change how the text around them is read.
import { MARKS_ON_A_LETTER } from './limits.js';

/** Embeddings, overrides and isolates (Unicode UAX #9): they reorder what stands beside them. */
const REORDERING = /[\u202a-\u202e\u2066-\u2069]/gu;
/** What takes no room: zero-width characters, soft hyphens, tags, variation selectors of letters. */
const INVISIBLE = /[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;
/** Control characters but tab and line feed. */
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/gu;
/** What takes no room and no language needs: it hides text, or parts one name from another. Joiners, marks of direction and selectors stay. */
const HIDING = /[\u00ad\u034f\u115f\u1160\u180e\u200b\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]/gu;
/** Tags (U+E0000 and on) are text that nobody sees, but for those that name a flag. */
const TAGS = /\u{1f3f4}[\u{e0030}-\u{e007a}]{1,6}\u{e007f}|[\u{e0000}-\u{e0fff}]/gu;
const STACKED = new RegExp(`(\\p{M}{${MARKS_ON_A_LETTER}})\\p{M}+`, 'gu');
/** Halves of a character that stand alone. */
const LONE = /\p{Surrogate}/gu;

/**
 * Text of people as it may stand among other text: without what reorders or hides it, without control
 * characters, and with few marks on each letter. Joiners and marks of direction stay: languages and
 * emoji need them.
 * @param {string} text
 */
export function calm(text) {
  return text
    .replace(REORDERING, '')
    .replace(CONTROL, '')
    .replace(HIDING, '')
    .replace(TAGS, (it) => (it.length > 2 ? it : ''))
    .replace(LONE, '\ufffd')
    .replace(STACKED, '$1');
}

/**
 * Text of which every character counts, such as code: what would not be seen is shown by its number.
 * @param {string} text
 */
export function visible(text) {
  const number = (/** @type {string} */ it) => `⟨U+${(it.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`;
  return text.replace(/\r\n?/gu, '\n').replace(REORDERING, number).replace(INVISIBLE, number).replace(CONTROL, number).replace(LONE, number).replace(STACKED, '$1');
}

/**
 * Text that is a name: nothing in it is invisible, reorders what is beside it, or breaks the line.
 * @param {string} text
 */
export function bare(text) {
  return calm(text).replace(INVISIBLE, '').replace(/\s+/gu, ' ').trim();
}
