// Names as people and partners gave them.
import { bare } from './safe.js';

/** Characters of a name that are shown. */
const SHOWN = 80;

/**
 * A name that cannot change how the text around it is read; of one that is nothing but that, a mark.
 * @param {string} text
 * @returns {string}
 */
export function safeName(text) {
  const name = [...bare(String(text))];
  if (name.length === 0) return '∅';
  return name.length > SHOWN ? `${name.slice(0, SHOWN).join('')}…` : name.join('');
}
