// Emoji by their short names.
import { EMOJI } from './emoji_names.js';

/** @type {Map<string, string>} */
const BY_NAME = new Map();
for (const line of EMOJI.split('\n')) {
  const [text, ...names] = line.split(' ');
  for (const name of names) BY_NAME.set(name, text ?? '');
}

/** Skin tones as names end with them, and their modifiers (Unicode UTS #51). */
const TONES = /** @type {Record<string, string>} */ ({ light: '\u{1f3fb}', medium_light: '\u{1f3fc}', medium: '\u{1f3fd}', medium_dark: '\u{1f3fe}', dark: '\u{1f3ff}' });
const TONED = /^(.+?)_(light|medium_light|medium|medium_dark|dark)_skin_tone$/;
const TAKES_TONE = /(\p{Emoji_Modifier_Base})\ufe0f?/gu;

/**
 * The emoji of a short name.
 * @param {string} name
 * @returns {string | undefined}
 */
export function emojiFor(name) {
  const wanted = name.toLowerCase();
  const toned = TONED.exec(wanted);
  if (!toned) return BY_NAME.get(wanted);
  const plain = BY_NAME.get(toned[1] ?? '');
  const text = plain?.replace(TAKES_TONE, `$1${TONES[toned[2] ?? '']}`);
  return text === plain ? undefined : text;
}

/**
 * Emoji whose names have a term in them: the one of that name, then those that begin with it, each once.
 * @param {string} term
 * @param {number} limit
 * @returns {{name: string, text: string}[]}
 */
export function searchEmoji(term, limit) {
  const wanted = term.toLowerCase().replace(/^:|:$/g, '').replace(/\s+/g, '_');
  /** @type {{name: string, text: string}[][]} */
  const found = [[], [], []];
  for (const [name, text] of BY_NAME) {
    const at = name.indexOf(wanted);
    if (at >= 0) found[name === wanted ? 0 : at === 0 ? 1 : 2]?.push({ name, text });
  }
  const seen = new Set();
  return found
    .flat()
    .filter((it) => !seen.has(it.text) && seen.add(it.text))
    .slice(0, limit);
}
