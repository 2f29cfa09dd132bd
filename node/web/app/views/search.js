// Finding messages, and those that are pinned.
import { html } from '../../vendor/html.js';
import { useEffect, useRef, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { store, useStore } from '../state.js';
import { wantUser } from '../people.js';
import { Post } from './post.js';
import { Icon, day } from './util.js';

/** Results of one request. */
const PAGE = 30;

/** The words that are to be lit. @param {string} terms */
function words(terms) {
  return terms.split(/\s+/).filter((it) => it && !/^-?(from|in|before|after|on):/i.test(it) && !it.startsWith('-')).map((it) => it.replace(/["*]/g, '')).filter(Boolean);
}

const close = () => store.set({ pane: null });

/** @param {{posts: import('../types.js').Post[], terms?: string[]}} props */
function Results({ posts, terms }) {
  const channels = useStore((state) => state.channels);
  return html`<ul class="plain results">${posts.map((post) => html`<li key=${post.id} class="result"><div class="result-head"><bdi class="ellipsis">${channels[post.channel_id]?.display_name ?? ''}</bdi><span class="hint">${day(post.create_at)}</span><a class="button" href=${`/post/${post.id}`} onClick=${() => matchMedia('(max-width: 1100px)').matches && close()}>Go there</a></div><${Post} post=${post} head inThread watch=${false} terms=${terms} /></li>`)}</ul>`;
}

/** @param {{channelId: string}} props */
export function SearchPane({ channelId }) {
  const [terms, setTerms] = useState('');
  const [found, setFound] = useState(/** @type {{posts: import('../types.js').Post[], more: boolean, page: number, terms: string, words: string[]} | null} */ (null));
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const here = useStore((state) => state.channels[channelId]);
  useEffect(() => input.current?.focus(), []);
  const search = async (/** @type {number} */ page, text = terms) => {
    if (!text.trim()) return;
    setBusy(true);
    setError('');
    try {
      const list = await api.post('/api/v4/posts/search', { terms: text, is_or_search: false, time_zone_offset: -60 * new Date().getTimezoneOffset(), page, per_page: PAGE });
      const posts = list.order.map((/** @type {string} */ id) => list.posts[id]);
      posts.forEach((/** @type {any} */ it) => wantUser(it.user_id));
      setFound((before) => ({ posts: page === 0 ? posts : [...(before?.posts ?? []), ...posts], more: list.order.length === PAGE, page, terms: text, words: words(text) }));
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    } finally {
      setBusy(false);
    }
  };
  const add = (/** @type {string} */ text) => {
    setTerms((before) => `${before.trim()} ${text}`.trim());
    input.current?.focus();
  };
  return html`<aside class="pane" aria-label="Search">
    <header class="pane-head"><button class="icon-button only-phone" aria-label="Back" onClick=${close}><${Icon} name="back" /></button><h2 class="grow">Search</h2><button class="icon-button not-phone" aria-label="Close the search" onClick=${close}><${Icon} name="close" /></button></header>
    <form class="search-form" role="search" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void search(0))}>
      <input ref=${input} type="search" data-test="search-box" dir="auto" placeholder="Words, from: in: before: after:" aria-label="Search messages" value=${terms} onInput=${(/** @type {any} */ event) => setTerms(event.currentTarget.value)} />
      <div class="row">${here && here.type !== 'D' && html`<button type="button" class="chip" onClick=${() => add(`in:${here.name}`)}>in:${here.name}</button>`}<button type="button" class="chip" onClick=${() => add('from:')}>from:</button><button type="button" class="chip" onClick=${() => add('after:')}>after:</button><button type="button" class="chip" onClick=${() => add('before:')}>before:</button><button class="button primary" type="submit" disabled=${busy}>${busy ? 'Searching…' : 'Search'}</button></div>
    </form>
    ${error && html`<p class="error" role="alert">${error}</p>`}
    <div class="pane-scroll" data-test="search-results" aria-live="polite" tabindex="0" role="region" aria-label="Results">
      ${found && html`<p class="hint result-count">${found.posts.length === 0 ? 'Nothing found in what this node holds and you may read.' : `${found.posts.length}${found.more ? ' and more' : ''} found`}</p><${Results} posts=${found.posts} terms=${found.words} />${found.more && html`<button class="button" disabled=${busy} onClick=${() => search(found.page + 1, found.terms)}>Show more</button>`}`}
    </div>
  </aside>`;
}

/** @param {{channelId: string}} props */
export function PinsPane({ channelId }) {
  const [posts, setPosts] = useState(/** @type {import('../types.js').Post[] | null} */ (null));
  const [error, setError] = useState('');
  useEffect(() => {
    setPosts(null);
    api.get(`/api/v4/channels/${channelId}/pinned`).then((list) => setPosts(list.order.map((/** @type {string} */ id) => list.posts[id])), (problem) => setError(problem.message));
  }, [channelId]);
  return html`<aside class="pane" aria-label="Pinned messages"><header class="pane-head"><button class="icon-button only-phone" aria-label="Back" onClick=${close}><${Icon} name="back" /></button><h2 class="grow">Pinned messages</h2><button class="icon-button not-phone" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
    <div class="pane-scroll" tabindex="0" role="region" aria-label="Pinned messages">${error && html`<p class="error" role="alert">${error}</p>`}${posts?.length === 0 && html`<p class="hint result-count">Nothing is pinned here. Pin a message by its menu: it is pinned for all partners that read it.</p>`}${posts && html`<${Results} posts=${posts} />`}</div></aside>`;
}

