// A message in one line without markup: for notifications and for quoting.
import { bare } from './safe.js';

/** Characters that are looked at: the beginning is all that is shown. */
const LOOKED_AT = 4_096;

/**
 * The beginning of a message as plain text.
 * @param {string} source
 * @param {number} limit in characters
 */
export function plainText(source, limit) {
  const text = source
    .slice(0, LOOKED_AT)
    .replace(/```[^\n]*\n?/g, ' ')
    .replace(/!?\[([^\]\n]{0,200})\]\([^)\n]{0,2000}\)/g, '$1')
    .replace(/^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+|\d{1,9}[.)][ \t]+)/gm, '')
    .replace(/(\*\*|__|~~|`)/g, '');
  const letters = [...bare(text)];
  return letters.length > limit ? `${letters.slice(0, Math.max(limit - 1, 0)).join('')}…` : letters.join('');
}
