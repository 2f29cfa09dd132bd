// What others wrote is what they published, and what the page loads comes from this node alone.
// Usage: node tests/page/vendored.mjs
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const web = path.join(import.meta.dirname, '../../node/web');
const problems = [];
const say = (/** @type {string} */ text) => problems.push(text);

const manifest = JSON.parse(fs.readFileSync(path.join(web, 'vendor/manifest.json'), 'utf8'));
const named = new Set();
for (const it of manifest.files) {
  named.add(it.file);
  const bytes = fs.readFileSync(path.join(web, 'vendor', it.file));
  const sum = createHash('sha256').update(bytes).digest('hex');
  if (sum !== it.sha256) say(`vendor/${it.file} is not what the manifest names: ${sum}`);
  for (const key of ['name', 'version', 'licence', 'source']) if (!it[key]) say(`the manifest says no ${key} of ${it.file}`);
  if (!fs.existsSync(path.join(web, 'vendor/LICENSES', `${it.name}.txt`))) say(`the licence of ${it.name} is missing`);
}
const OWN = new Set(['manifest.json', 'html.js', 'LICENSES']);
for (const file of fs.readdirSync(path.join(web, 'vendor'))) {
  if (!named.has(file) && !OWN.has(file) && !file.endsWith('.d.ts')) say(`vendor/${file} is not in the manifest`);
}

/** Ways in which text becomes markup or code. */
const MAKES_MARKUP = /\b(?:innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.writeln?|DOMParser|createContextualFragment|setHTMLUnsafe|srcdoc|trustedTypes)\b|\beval\s*\(|\bFunction\s*\(|\bset(?:Timeout|Interval)\(\s*['"`]/g;
/** What vendored files have of it, and why nothing reaches it; anything else is new and has to be looked at. */
const THEIRS = /** @type {Record<string, {has: string[], unreached: string}>} */ ({
  'preact.js': { has: ['dangerouslySetInnerHTML', 'innerHTML'], unreached: 'sets markup by a property that no module here may name' },
  'htm.js': { has: [], unreached: '' },
  'hooks.js': { has: [], unreached: '' },
  'marked.js': { has: [], unreached: 'its renderer writes markup as text; its lexer alone is imported, by text/tokens.js' },
});
/** Ways in which something is loaded, with an address of another host. */
const LOADS = /(?:import\s*\(?|from|fetch\(|src=|href=|url\(|new (?:Worker|WebSocket|EventSource)\()\s*['"`]?(?:https?:|wss?:)?\/\//;
for (const file of fs.readdirSync(web, { recursive: true, encoding: 'utf8' })) {
  if (!/\.(js|css|html)$/.test(file)) continue;
  const text = fs.readFileSync(path.join(web, file), 'utf8');
  const found = [...new Set(text.match(MAKES_MARKUP) ?? [])];
  const isTheirs = file.startsWith(`vendor${path.sep}`) && file !== path.join('vendor', 'html.js');
  if (isTheirs) {
    const known = THEIRS[path.basename(file)];
    if (!known) say(`${file} is not among the vendored files that were looked at`);
    else if (found.some((it) => !known.has.includes(it))) say(`${file} makes markup of text in a way that was not looked at: ${found}`);
    continue;
  }
  if (found.length > 0) say(`${file} makes markup of text: ${found}`);
  if (LOADS.test(text)) say(`${file} loads from another host: ${LOADS.exec(text)?.[0]}`);
  const marked = /import\s*(.*?)\s*from\s*'[^']*vendor\/marked\.js'/s.exec(text)?.[1];
  if (marked !== undefined && (file !== path.join('text', 'tokens.js') || marked !== '{ Lexer, Tokenizer }')) say(`${file} uses ${marked} of the markdown library; text/tokens.js alone uses it, and its lexer alone`);
}
for (const problem of problems) console.error(problem);
console.log(problems.length ? `${problems.length} problems` : `${named.size} vendored files are as published; nothing loads from elsewhere or makes markup of text`);
process.exit(problems.length ? 1 : 0);
