// Messages of people who mean harm, and what must come of them. They are posted at a partner, too, and
// looked at in a browser. In the files, a text is a string or a list of parts: a string; a string and how
// often; or `rising`, which is there no time, once, twice and so on, each with `then` after it.
import fs from 'node:fs';
import path from 'node:path';

/**
 * @typedef {object} Message
 * @property {string} name
 * @property {string} text
 * @property {string[]} [shows] what is in the text that is shown
 * @property {string[]} [hides] what is not
 * @property {string[]} [links] where all its links lead, in order
 * @property {'written' | 'formatted'} [made] whether it is shown as it was written, or by its markdown
 * @property {string[]} [terms] what was searched for
 */

/** @param {any} part @returns {string} */
function expanded(part) {
  if (typeof part === 'string') return part;
  if (Array.isArray(part)) return part[0].repeat(part[1]);
  return Array.from({ length: part.times }, (_, at) => part.rising.repeat(at) + part.then).join('');
}

const files = fs.readdirSync(import.meta.dirname).filter((file) => file.endsWith('.json'));

/** @type {Message[]} */
export const HOSTILE = files.flatMap((file) =>
  JSON.parse(fs.readFileSync(path.join(import.meta.dirname, file), 'utf8')).messages.map((/** @type {any} */ it) => ({ ...it, text: Array.isArray(it.text) ? it.text.map(expanded).join('') : it.text })),
);
