// Light colouring of code: comments, strings, numbers and the words of the language, in one pass.

/** @typedef {{kind: '' | 'comment' | 'string' | 'number' | 'word', text: string}} Part */

const C_LIKE = 'break case catch class const continue default do else enum export extends false finally fn for function go if impl import in interface let loop match mod mut new nil null package pub return self static struct super switch this throw trait true try type use var void while with yield async await';
const WORDS = /** @type {Record<string, string>} */ ({
  python: 'and as assert async await break class continue def del elif else except False finally for from global if import in is lambda None nonlocal not or pass raise return True try while with yield',
  shell: 'case do done elif else esac export fi for function if in local return set then until while',
  sql: 'and as by case create delete distinct drop else end from group having in inner insert into is join left limit not null on or order outer select set table then union update values when where with',
  other: C_LIKE,
});
const NAMES = /** @type {Record<string, string>} */ ({ py: 'python', python: 'python', sh: 'shell', bash: 'shell', shell: 'shell', zsh: 'shell', sql: 'sql' });
const HASHED = new Set(['python', 'shell', 'yaml', 'yml', 'toml', 'ini', 'conf', 'ruby', 'rb']);
const NONE = new Set(['text', 'txt', 'plain', 'log', 'diff', 'md', 'markdown']);

/** Each alternative ends where it began or at the line's end, so that a pass looks at a character once. */
const SLASHED = /\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/)){0,4000}(?:\*\/)?|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|`(?:[^`\\]|\\.){0,2000}`?|\b\d[\w.]*|[\p{L}_]\w*/gu;
const NUMBERED = /#[^\n]*|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|\b\d[\w.]*|[\p{L}_]\w*/gu;
const DASHED = /--[^\n]*|'(?:[^'\n]|'')*'?|"[^"\n]*"?|\b\d[\w.]*|[\p{L}_]\w*/gu;

/**
 * Code in parts that together are the code.
 * @param {string} text
 * @param {string} language
 * @returns {Part[]}
 */
export function coloured(text, language) {
  if (NONE.has(language)) return [{ kind: '', text }];
  const family = NAMES[language] ?? 'other';
  const words = new Set((WORDS[family] ?? C_LIKE).split(' '));
  const pattern = family === 'sql' ? DASHED : HASHED.has(family) || HASHED.has(language) ? NUMBERED : SLASHED;
  /** @type {Part[]} */
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    const kind = kindOf(match[0], words, family);
    if (!kind) continue;
    if (match.index > at) parts.push({ kind: '', text: text.slice(at, match.index) });
    parts.push({ kind, text: match[0] });
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push({ kind: '', text: text.slice(at) });
  return parts;
}

/** @param {string} text @param {Set<string>} words @param {string} family @returns {Part['kind']} */
function kindOf(text, words, family) {
  const first = text[0] ?? '';
  if (/["'`]/.test(first)) return 'string';
  if (first === '#' || text.startsWith('//') || text.startsWith('/*') || text.startsWith('--')) return 'comment';
  if (/\d/.test(first)) return 'number';
  return words.has(family === 'sql' ? text.toLowerCase() : text) ? 'word' : '';
}
