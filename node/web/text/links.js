// Where a link leads, and what is shown of that.
import { ADDRESS_CHARACTERS } from './limits.js';
import { bare } from './safe.js';

const SCHEMES = new Set(['http:', 'https:', 'mailto:', 'tel:']);
/** Something that reads like the name of a host. */
const HOST_LIKE = /(?:^|[^\p{L}\p{N}@._-])((?:[\p{L}\p{N}-]+\.)+[\p{L}]{2,})/u;

/**
 * @typedef {object} Target
 * @property {string} href
 * @property {string} shown what is shown beside the link's text, empty where the text says it already
 * @property {string} title the whole address
 * @property {string | null} post the id of a post of this node that it leads to
 */

/**
 * Where a link leads; null for what no link may lead to.
 * @param {string} address as it was written
 * @param {string} text what is shown as the link
 * @param {string} origin of this page
 * @returns {Target | null}
 */
export function target(address, text, origin) {
  let url;
  try {
    url = new URL(bare(address));
  } catch {
    return null;
  }
  if (!SCHEMES.has(url.protocol) || url.username || url.password) return null;
  const href = url.href;
  const title = href.length > ADDRESS_CHARACTERS ? `${href.slice(0, ADDRESS_CHARACTERS)}…` : href;
  if (url.origin === origin) {
    const post = /^\/(?:post|[^/]+\/pl|_redirect\/pl)\/([a-z0-9]{26})$/.exec(url.pathname);
    if (post) return { href, shown: '', title, post: post[1] ?? null };
  }
  return { href, shown: says(text, url) ? '' : label(url), title, post: null };
}

/** The host in its plain form: letters of other scripts that look alike show as xn--. @param {URL} url */
function label(url) {
  return url.host || (url.pathname.length > 60 ? `${url.pathname.slice(0, 60)}…` : url.pathname);
}

/** Whether a link's text tells by itself where it leads. @param {string} text @param {URL} url */
function says(text, url) {
  const said = bare(text);
  if (said === url.href || `${said}/` === url.href) return true;
  if (url.protocol === 'mailto:') return said.replace(/^mailto:/i, '') === decoded(url.pathname);
  if (!/^https?:\/\//i.test(said) && !HOST_LIKE.test(said)) return false;
  try {
    const shown = new URL(/^[a-z][a-z0-9+.-]*:/i.test(said) ? said : `http://${said}`);
    // A host of another script is shown in its plain form, though the text is the address.
    return shown.host === url.host && !shown.username && !shown.password && said.includes(url.host);
  } catch {
    return false;
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
