// What means something within plain words: who is mentioned, channels, emoji, what was searched for.

/**
 * @typedef {{kind: 'text' | 'address' | 'mention' | 'channel' | 'emoji' | 'found' | 'keyword', text: string}} Piece
 * @typedef {{pattern: RegExp, terms: Set<string>}} Sought what is to be marked in words
 */

const MEANT = /(?<![\p{L}\p{N}])(https?:\/\/[^\s<>"']{1,2048})|(?<![\p{L}\p{N}_.@/])@([a-z0-9][a-z0-9._-]{0,63}(?::[a-z0-9][a-z0-9._-]{0,63})?)|(?<![\p{L}\p{N}_~])~([a-z0-9][a-z0-9._-]{0,63})|(?<![\p{L}\p{N}:]):([a-z0-9_+-]{1,48}):/giu;

/**
 * Plain words in pieces, in order; together they are the words.
 * @param {string} text
 * @param {Sought | null} sought what is to be marked
 * @returns {Piece[]}
 */
export function pieces(text, sought) {
  /** @type {Piece[]} */
  const all = [];
  let at = 0;
  for (const match of text.matchAll(MEANT)) {
    const [whole, address, mention, channel, emoji] = match;
    const ending = mention ?? channel;
    // A full stop at the end is the sentence's.
    const said = ending ? whole.replace(/[._-]+$/u, '') : address ? whole.replace(/[.,:;!?)\]*_~]+$/u, '') : whole;
    plain(all, text.slice(at, match.index), sought);
    if (address) all.push({ kind: 'address', text: said });
    else if (mention) all.push({ kind: 'mention', text: said.slice(1) });
    else if (channel) all.push({ kind: 'channel', text: said.slice(1) });
    else all.push({ kind: 'emoji', text: emoji ?? '' });
    at = match.index + said.length;
  }
  plain(all, text.slice(at), sought);
  return all;
}

/** @param {Piece[]} all @param {string} text @param {Sought | null} sought */
function plain(all, text, sought) {
  if (!text) return;
  if (!sought) {
    all.push({ kind: 'text', text });
    return;
  }
  let at = 0;
  for (const match of text.matchAll(sought.pattern)) {
    if (match.index > at) all.push({ kind: 'text', text: text.slice(at, match.index) });
    all.push({ kind: sought.terms.has(match[0].toLowerCase()) ? 'found' : 'keyword', text: match[0] });
    at = match.index + match[0].length;
  }
  if (at < text.length) all.push({ kind: 'text', text: text.slice(at) });
}

/** Terms that are marked at most: more are not told apart by the eye. */
const TERMS = 16;

/**
 * What finds the terms of a search and the reader's keywords in words; null where there is neither.
 * @param {string[] | undefined} terms of a search: wherever they stand
 * @param {string[] | undefined} [keywords] as whole words
 * @returns {Sought | null}
 */
export function seeker(terms, keywords) {
  const wanted = usable(terms);
  const patterns = [...wanted.map(literal), ...usable(keywords).map((it) => `(?<![\\p{L}\\p{N}_])${literal(it)}(?![\\p{L}\\p{N}_])`)];
  if (patterns.length === 0) return null;
  return { pattern: new RegExp(patterns.join('|'), 'giu'), terms: new Set(wanted.map((it) => it.toLowerCase())) };
}

/** @param {string[] | undefined} terms */
function usable(terms) {
  return (terms ?? []).filter((it) => it.length > 1).map((it) => it.slice(0, 64)).slice(0, TERMS);
}

/** @param {string} text */
function literal(text) {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
