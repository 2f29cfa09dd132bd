// A message as nodes of the page. The markdown library makes tokens of it; each becomes a node here, and
// its text a text node: nothing that people write becomes markup.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { CodeBlock } from './code.js';
import { COLUMNS, FOLDED_CHARACTERS, FOLDED_LINES, NESTED, PIECES, ROWS, SHOWN_CHARACTERS } from './limits.js';
import { target } from './links.js';
import { calm, visible } from './safe.js';
import { tokensOf } from './tokens.js';
import { pieces, seeker } from './words.js';

/**
 * What a message is shown by.
 * @typedef {object} Context
 * @property {string} ownName the reader's user name
 * @property {string} partner the reader's partner
 * @property {(name: string) => void} [onMention]
 * @property {(name: string) => void} [onChannelLink]
 * @property {(post: string) => void} [onPostLink]
 * @property {(name: string) => string | undefined} [emoji]
 * @property {Set<string>} [channelNames]
 * @property {string[]} [searchTerms] what was searched for
 * @property {string[]} [highlight] the reader's keywords
 * @property {string} [origin] of the page
 */

/** @typedef {any} Token a token of the library's */
/** @typedef {{context: Context, sought: import('./words.js').Sought | null, origin: string, left: number, inLink?: boolean}} Work */

/** A message of a few emoji, and no more than a few. */
const EMOJI_CHARACTERS = 60;
const NAMED = /:([a-z0-9_+-]{1,48}):/giu;
const EMOJI_TEXT = /^[\p{Extended_Pictographic}\p{Emoji_Component}\u200d\s]+$/u;
const EMOJI_ALONE = /^(?:[\p{Extended_Pictographic}\p{Emoji_Component}\u200d\s]|:[a-z0-9_+-]{1,48}:)+$/iu;
const ENTITY = /&(amp|lt|gt|quot|apos|nbsp|hellip|ndash|mdash|copy|euro);/gu;
const ENTITIES = /** @type {Record<string, string>} */ ({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', hellip: '…', ndash: '–', mdash: '—', copy: '©', euro: '€' });
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}\p{Script=Samaritan}\p{Script=Mandaic}\p{Script=Hanifi_Rohingya}]/u;
const ALL = new Set(['all', 'channel', 'here']);

/**
 * A message as nodes.
 * @param {string} source
 * @param {Context} context
 * @returns {any}
 */
export function renderMessage(source, context) {
  const text = source.length > SHOWN_CHARACTERS ? source.slice(0, SHOWN_CHARACTERS) : source;
  const long = text.length > FOLDED_CHARACTERS || lines(text) > FOLDED_LINES;
  const body = large(text, context) ?? formatted(text, context) ?? asWritten(text);
  const cut = source.length > SHOWN_CHARACTERS && html`<p class="text-notice">The rest of this message is longer than is shown here.</p>`;
  return long ? html`<${Folded}>${body}${cut}<//>` : html`${body}${cut}`;
}

/** A message of nothing but a few emoji, larger; null for any other. @param {string} text @param {Context} context */
function large(text, context) {
  if (text.length > EMOJI_CHARACTERS || !EMOJI_ALONE.test(text)) return null;
  const named = text.replace(NAMED, (whole, name) => context.emoji?.(name) ?? whole);
  return EMOJI_TEXT.test(named) && !/^[\d#*\s]+$/u.test(named) ? html`<p dir="auto" class="large-emoji">${words(text, { context, sought: null, origin: '', left: PIECES })}</p>` : null;
}

/** @param {string} text */
function lines(text) {
  let count = 1;
  for (let at = text.indexOf('\n'); at >= 0 && count <= FOLDED_LINES; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}

/** The message by its markdown; null where that would cost too much. @param {string} text @param {Context} context */
function formatted(text, context) {
  const read = tokensOf(text);
  if (!read) return null;
  const origin = context.origin ?? globalThis.location?.origin ?? '';
  /** @type {Work} */
  const work = { context, sought: seeker(context.searchTerms, context.highlight), origin, left: PIECES };
  const nodes = blocks(read.tokens, work, 0);
  if (work.left < 0) return null;
  return html`${nodes}${read.unread && html`<p class="text-notice">A part of this is shown as it was written: it has too many marks to be formatted.</p>`}`;
}

/** @param {string} text */
function asWritten(text) {
  return html`<pre class="as-written" dir="auto">${calm(text)}</pre><p class="text-notice">Shown as it was written: it is too long or too intricate to be formatted.</p>`;
}

/** A long message, of which the beginning shows until it is asked for. @param {{children: any}} props */
function Folded({ children }) {
  const [open, setOpen] = useState(false);
  return html`<div class=${open ? 'folded open' : 'folded'} onFocusIn=${() => setOpen(true)}>${children}</div>
    <button type="button" class="unfold" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? 'Show less' : 'Show all of it'}</button>`;
}

/** @param {Token[]} tokens @param {Work} work @param {number} depth @returns {any[]} */
function blocks(tokens, work, depth) {
  return tokens.map((token) => block(token, work, depth));
}

/** @param {Token} token @param {Work} work @param {number} depth @returns {any} */
function block(token, work, depth) {
  if ((work.left -= 1) < 0) return null;
  if (depth > NESTED) return html`<p dir="auto">${calm(token.raw)}</p>`;
  switch (token.type) {
    case 'space':
    case 'def':
      return token.type === 'def' ? html`<p dir="auto">${calm(token.raw)}</p>` : null;
    case 'paragraph':
      return html`<p dir="auto">${inlines(token.tokens, work, depth)}</p>`;
    case 'text':
      return html`<span dir="auto">${token.tokens ? inlines(token.tokens, work, depth) : words(token.text, work)}</span>`;
    case 'heading':
      // Large words, no heading of the page: its outline is not people's to change.
      return html`<p dir="auto" class=${`text-heading level-${Math.min(token.depth, 3)}`}>${inlines(token.tokens, work, depth)}</p>`;
    case 'code':
      return html`<${CodeBlock} text=${visible(token.text)} language=${token.lang ?? ''} />`;
    case 'blockquote':
      return html`<blockquote dir=${direction(token.text)}>${blocks(token.tokens, work, depth + 1)}</blockquote>`;
    case 'list':
      return list(token, work, depth);
    case 'table':
      return table(token, work, depth);
    case 'hr':
      return html`<hr />`;
    default:
      // Markup too: it is text like any other.
      return html`<p dir="auto">${words(token.raw, work)}</p>`;
  }
}

/**
 * The direction of what holds other blocks, by its first letter: the browser's own finding looks past
 * blocks that have a direction themselves.
 * @param {string} text
 */
function direction(text) {
  const letter = /\p{L}/u.exec(text)?.[0];
  return letter === undefined ? undefined : RIGHT_TO_LEFT.test(letter) ? 'rtl' : 'ltr';
}

/** @param {Token} token @param {Work} work @param {number} depth */
function list(token, work, depth) {
  const items = token.items.map((/** @type {Token} */ item) => {
    const box = item.task ? html`<span class="task" role="img" aria-label=${item.checked ? 'done' : 'to do'}>${item.checked ? '☑' : '☐'}</span> ` : null;
    const tokens = item.tokens.filter((/** @type {Token} */ it) => it.type !== 'checkbox');
    return html`<li>${box}${blocks(tokens, work, depth + 1)}</li>`;
  });
  return token.ordered ? html`<ol dir=${direction(token.raw)} start=${Math.min(Number(token.start) || 1, 999_999_999)}>${items}</ol>` : html`<ul dir=${direction(token.raw)}>${items}</ul>`;
}

/** @param {Token} token @param {Work} work @param {number} depth */
function table(token, work, depth) {
  const more = token.header.length > COLUMNS || token.rows.length > ROWS;
  const cell = (/** @type {Token} */ it, /** @type {any} */ as) => html`<${as} dir="auto" class=${it.align ? `to-${it.align}` : ''}>${inlines(it.tokens, work, depth + 1)}<//>`;
  const row = (/** @type {Token[]} */ cells, /** @type {string} */ as) => html`<tr>${cells.slice(0, COLUMNS).map((it) => cell(it, as))}</tr>`;
  return html`<div class="text-table" tabindex="0" role="group" aria-label="table"><table dir=${direction(token.raw)}><thead>${row(token.header, 'th')}</thead><tbody>${token.rows.slice(0, ROWS).map((/** @type {Token[]} */ it) => row(it, 'td'))}</tbody></table></div>${more && html`<p class="text-notice">The table is larger than is shown here.</p>`}`;
}

/** @param {Token[] | undefined} tokens @param {Work} work @param {number} depth @returns {any[]} */
function inlines(tokens, work, depth) {
  return (tokens ?? []).map((token) => inline(token, work, depth));
}

/** @param {Token} token @param {Work} work @param {number} depth @returns {any} */
function inline(token, work, depth) {
  if ((work.left -= 1) < 0) return null;
  if (depth > NESTED) return calm(token.raw);
  switch (token.type) {
    case 'strong':
      return html`<strong>${inlines(token.tokens, work, depth + 1)}</strong>`;
    case 'em':
      return html`<em>${inlines(token.tokens, work, depth + 1)}</em>`;
    case 'del':
      return html`<del>${inlines(token.tokens, work, depth + 1)}</del>`;
    case 'codespan':
      return html`<code>${visible(token.text)}</code>`;
    case 'br':
      return html`<br />`;
    case 'link':
      return link(token, work, depth);
    case 'image':
      // A picture of another host is a link: loading it would tell that host who reads this.
      return anchor(token.href, `${token.text || 'picture'}`, `${calm(token.text) || 'picture'} (picture)`, token.raw, work);
    case 'text':
      return token.tokens ? inlines(token.tokens, work, depth + 1) : words(token.text, work);
    case 'escape':
      return calm(token.text);
    case 'unread':
      return html`<span class="unread-text">${calm(token.raw)}</span>`;
    default:
      return words(token.raw, work);
  }
}

/** @param {Token} token @param {Work} work @param {number} depth */
function link(token, work, depth) {
  if (work.inLink) return inlines(token.tokens, work, depth + 1);
  // What is in a link leads where the link does, and nowhere else.
  work.inLink = true;
  const inner = inlines(token.tokens, work, depth + 1);
  work.inLink = false;
  return anchor(token.href, token.text, inner, token.raw, work);
}

/** @param {string} href @param {string} text @param {any} inner @param {string} raw @param {Work} work */
function anchor(href, text, inner, raw, work) {
  if (work.inLink) return inner;
  const to = target(href, text, work.origin);
  if (!to) return calm(raw);
  const { post } = to;
  const { onPostLink } = work.context;
  if (post && onPostLink) {
    const open = (/** @type {Event} */ event) => {
      event.preventDefault();
      onPostLink(post);
    };
    return html`<a href=${`/post/${post}`} onClick=${open}>${inner}</a>`;
  }
  return html`<a href=${to.href} title=${to.title} target="_blank" rel="noopener noreferrer nofollow">${inner}</a>${to.shown && html` <span class="link-host" dir="ltr">(${to.shown})</span>`}`;
}

/** Characters by their names, as clients write them that mean HTML; the library has done those by numbers. @param {string} text */
function spelt(text) {
  return text.includes('&') ? text.replace(ENTITY, (whole, name) => ENTITIES[name] ?? whole) : text;
}

/** @param {string} text @param {Work} work @returns {any[]} */
function words(text, work) {
  return pieces(calm(spelt(text)), work.sought).map((piece) => {
    work.left -= 1;
    switch (piece.kind) {
      case 'mention':
        return mention(piece.text, work.context, work.inLink);
      case 'channel':
        return work.inLink ? `~${piece.text}` : channelLink(piece.text, work.context);
      case 'address':
        // Of other letters: the library finds those of plain ones alone.
        return anchor(piece.text, piece.text, piece.text, piece.text, work);
      case 'emoji': {
        const emoji = work.context.emoji?.(piece.text);
        return emoji ? html`<span class="emoji" role="img" aria-label=${piece.text} title=${`:${piece.text}:`}>${emoji}</span>` : `:${piece.text}:`;
      }
      case 'found':
        return html`<mark>${piece.text}</mark>`;
      case 'keyword':
        return html`<span class="mention own">${piece.text}</span>`;
      default:
        return piece.text;
    }
  });
}

/** @param {string} name @param {Context} context @param {boolean} [inLink] */
function mention(name, context, inLink = false) {
  if (inLink) return `@${name}`;
  const low = name.toLowerCase();
  const isOwn = low === context.ownName || low === `${context.ownName}:${context.partner}` || ALL.has(low);
  const kind = isOwn ? 'mention own' : 'mention';
  return context.onMention && !ALL.has(low)
    ? html`<button type="button" class=${kind} onClick=${() => context.onMention?.(low)}><bdi>@${name}</bdi></button>`
    : html`<span class=${kind}><bdi>@${name}</bdi></span>`;
}

/** @param {string} name @param {Context} context */
function channelLink(name, context) {
  const low = name.toLowerCase();
  const known = !context.channelNames || context.channelNames.has(low);
  return context.onChannelLink && known
    ? html`<button type="button" class="channel-mention" onClick=${() => context.onChannelLink?.(low)}><bdi>~${name}</bdi></button>`
    : `~${name}`;
}
