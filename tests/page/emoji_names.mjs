// Writes the emoji's short names, node/web/text/emoji_names.js, from the npm package emojibase-data 17.0.0.
// Usage: node tests/page/emoji_names.mjs DIRECTORY_OF_EMOJIBASE_DATA
import fs from 'node:fs';
import path from 'node:path';

const from = process.argv[2] ?? '';
const read = (/** @type {string} */ file) => JSON.parse(fs.readFileSync(path.join(from, 'en', file), 'utf8'));
const data = read('data.json');
const datasource = read('shortcodes/iamcal.json');
const gemoji = read('shortcodes/github.json');

/** Names that others have already: where the two lists differ, Mattermost's is meant. */
const taken = new Map();
for (const it of data) for (const name of [datasource[it.hexcode] ?? []].flat()) taken.set(name, it.hexcode);
/** Without the selector that emoji which are pictures by themselves need not have. @param {string} text */
const bare = (text) => text.replace(/(\p{Emoji_Presentation})\ufe0f/gu, '$1');
const lines = [];
for (const it of [...data].sort((one, other) => (one.order ?? 1e6) - (other.order ?? 1e6))) {
  const names = new Set([gemoji[it.hexcode] ?? [], datasource[it.hexcode] ?? []].flat().filter((name) => (taken.get(name) ?? it.hexcode) === it.hexcode));
  // Skin tones by themselves are part of other emoji's names.
  if (names.size > 0 && !it.label.includes('skin tone')) lines.push(`${bare(it.emoji)} ${[...names].join(' ')}`);
}
const text = `// Emoji and their short names, as chat writes them between colons; made by tests/page/emoji_names.mjs.
// The names are those of gemoji and emoji-datasource (which Mattermost has), the order is Unicode's CLDR's,
// all by emojibase-data 17.0.0 (MIT, https://github.com/milesj/emojibase; vendor/LICENSES/emojibase-data.txt).

/** One emoji a line, then its names. */
export const EMOJI = \`${lines.join('\n')}\`;
`;
fs.writeFileSync(path.join(import.meta.dirname, '../../node/web/text/emoji_names.js'), text);
console.log(`${lines.length} emoji`);
