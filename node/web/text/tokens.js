// The tokens of a message's markdown, at a cost that has a bound. The library's patterns look ahead: what
// they read can grow with the square of a message, so what is about to be read is counted first.
import { Lexer, Tokenizer } from '../vendor/marked.js';
import { BLOCK_WORK, FORMATTED_CHARACTERS, INLINE_WORK, LINES, MARKERS, NESTED, SPACES } from './limits.js';

/** @typedef {any} Token a token of the library's */

/** Characters that may open or close something within a paragraph. */
const MARKER = /[*_[\]`<>~!&\\@:|]/gu;
/** A line that opens more quotes and lists than are told apart: each is read again for the next. */
const DEEP = new RegExp(`^(?:[ \\t]{0,8}(?:[-+*>]|\\d{1,9}[.)])[ \\t]{0,8}){${NESTED + 1}}`, 'mu');
const WIDE = new RegExp(`[ \\t\\u00a0]{${SPACES}}`, 'u');
const WORD = /[\x21-\x7e]{64,}/gu;
const QUOTE = /^ {0,3}>/u;
const LIST = /^ {0,3}(?:[-+*]|\d{1,9}[.)])(?:[ \t\n]|$)/u;
/** A quote's and a list's rules look at what follows about as often as four others together. */
const CONTAINER = 4;

/** What says that a message costs too much. */
class TooMuch extends Error {}

/** The library's rules without HTML, counting what they look at. */
class Rules extends Tokenizer {
  work = 0;

  /** @param {number} characters */
  look(characters) {
    this.work += characters;
    if (this.work > BLOCK_WORK) throw new TooMuch();
  }

  /** Asked first for each block. @param {string} source */
  space(source) {
    this.look(source.length);
    return super.space(source);
  }

  /** @param {string} source */
  blockquote(source) {
    if (QUOTE.test(source)) this.look(CONTAINER * source.length);
    return super.blockquote(source);
  }

  /** @param {string} source */
  list(source) {
    if (LIST.test(source)) this.look(CONTAINER * source.length);
    return super.list(source);
  }

  /** Markup is text. @returns {undefined} */
  html() {
    return undefined;
  }

  /** Markup is text. @returns {undefined} */
  tag() {
    return undefined;
  }
}

/** Reads paragraphs as long as that costs little; others stay as they were written. */
class Bounded extends Lexer {
  work = 0;
  /** Whether something stayed as it was written. */
  unread = false;

  /** @param {string} source @param {Token[]} [tokens] */
  inlineTokens(source, tokens = []) {
    this.work += source.length * count(source, MARKER);
    // An address may begin at each character of a word: what looks for one reads the rest of it.
    for (const [word] of source.matchAll(WORD)) this.work += word.length ** 2 / 8;
    if (this.work > INLINE_WORK) {
      this.unread = true;
      tokens.push({ type: 'unread', raw: source, text: source });
      return tokens;
    }
    return super.inlineTokens(source, tokens);
  }
}

/**
 * The tokens of a message, and whether a part of it was left unread; null where reading it costs too much.
 * @param {string} source
 * @returns {{tokens: Token[], unread: boolean} | null}
 */
export function tokensOf(source) {
  const text = source.trimEnd();
  if (text.length > FORMATTED_CHARACTERS || count(text, /\n/gu) >= LINES || count(text, MARKER) > MARKERS || DEEP.test(text) || WIDE.test(text)) return null;
  const lexer = new Bounded({ gfm: true, breaks: true, tokenizer: new Rules() });
  try {
    const tokens = lexer.lex(text);
    return { tokens, unread: lexer.unread };
  } catch (error) {
    // What is nested deeper than the library can go ends in a RangeError, what it cannot end in an Error.
    if (error instanceof Error) return null;
    throw error;
  }
}

/** @param {string} text @param {RegExp} pattern */
function count(text, pattern) {
  let found = 0;
  for (const _ of text.matchAll(pattern)) found += 1;
  return found;
}
