// The messages of a channel: a window over those that are loaded, which keeps its place.
import { html } from '../../vendor/html.js';
import { useEffect, useLayoutEffect, useRef, useState } from '../../vendor/hooks.js';
import { storeHook } from '../store.js';
import { store, useStore } from '../state.js';
import { enterFeed, loadFeed, loadNewer, loadNewest, loadOlder } from '../feeds.js';
import { around, down, hold, shown, up } from '../window.js';
import { seeChannel } from '../marks.js';
import { Post } from './post.js';
import { Pending } from './pending.js';
import { day, Icon } from './util.js';

/** Messages of one author within this time stand under one name. */
const TOGETHER_MS = 5 * 60_000;
/** So near to an edge more is shown: before one gets there. */
const EDGE_PX = 900;
/** So near to the end one is at the end. */
const END_PX = 48;

/** @param {import('../types.js').Post} post @param {import('../types.js').Post | undefined} before */
function startsHead(post, before) {
  return !before || before.user_id !== post.user_id || post.create_at - before.create_at > TOGETHER_MS || post.create_at < before.create_at || !!post.props.comity_audience !== !!before.props.comity_audience || !!post.root_id || !!before.root_id || !!post.props.comity_late;
}

/**
 * The messages of a feed.
 * @param {{feed: import('../feeds.js').Feed, targetId: string, inThread?: boolean}} props
 */
export function Timeline({ feed, targetId, inThread = false }) {
  const state = storeHook(feed.state)((it) => it);
  const outbox = useStore((it) => it.outbox);
  const [window_, setWindow] = useState({ first: '' });
  const scroller = useRef(/** @type {HTMLElement | null} */ (null));
  const inner = useRef(/** @type {HTMLElement | null} */ (null));
  const at = useRef({ stuck: true, anchor: '', offset: 0, top: 0, height: 0, done: '', frame: 0, targeted: '' });
  const [away, setAway] = useState(false);
  const { stretch, unreadId } = state;
  const { start, end } = shown(stretch.ids, window_);
  const visible = stretch.ids.slice(start, end);
  const atEnd = end >= stretch.ids.length && !stretch.hasNewer;
  const pending = atEnd ? outbox.filter((it) => it.channelId === feed.channelId && it.rootId === (inThread ? feed.rootId : it.rootId) && (inThread || !it.rootId) && !(/** @type {any} */ (it).sentId && stretch.ids.includes(/** @type {any} */ (it).sentId))) : [];

  /** Remembers the first message that begins in view and where it stands. */
  const remember = () => {
    const box = scroller.current;
    const list = inner.current;
    if (!box || !list) return;
    at.current.stuck = atEnd && box.scrollHeight - box.scrollTop - box.clientHeight < END_PX;
    const rows = list.querySelectorAll(':scope > [data-row]');
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const row = /** @type {HTMLElement} */ (rows[middle]);
      if (row.offsetTop <= box.scrollTop) low = middle + 1;
      else high = middle;
    }
    const row = /** @type {HTMLElement | undefined} */ (rows[low]);
    at.current.anchor = row?.dataset.row ?? '';
    at.current.offset = row ? row.offsetTop - box.scrollTop : 0;
    at.current.top = box.scrollTop;
    at.current.height = box.scrollHeight;
  };
  /** Puts the view back to where it was, whatever changed above. */
  const restore = () => {
    const box = scroller.current;
    const list = inner.current;
    if (!box || !list) return;
    // What somebody scrolled since the last look is theirs; a list that shrank moved by itself.
    const moved = box.scrollHeight >= at.current.height || at.current.height === 0 ? box.scrollTop - at.current.top : 0;
    if (at.current.stuck && moved > -END_PX) {
      box.scrollTop = box.scrollHeight;
      at.current.top = box.scrollTop;
      at.current.height = box.scrollHeight;
      return;
    }
    at.current.stuck = false;
    const row = at.current.anchor ? /** @type {HTMLElement | null} */ (list.querySelector(`:scope > [data-row="${at.current.anchor}"]`)) : null;
    if (!row) return;
    const top = row.offsetTop - at.current.offset + moved;
    if (Math.abs(box.scrollTop - top) > 0.5) box.scrollTop = top;
    at.current.offset = row.offsetTop - box.scrollTop;
    at.current.top = box.scrollTop;
    at.current.height = box.scrollHeight;
  };
  const reveal = (/** @type {string} */ id, /** @type {number} */ part) => {
    const box = scroller.current;
    const row = /** @type {HTMLElement | null | undefined} */ (inner.current?.querySelector(`:scope > [data-row="${id}"]`));
    if (!box || !row) return false;
    box.scrollTop = row.offsetTop - box.clientHeight * part;
    remember();
    return true;
  };

  useLayoutEffect(() => {
    if (!state.loaded) {
      if (!targetId) void loadFeed(feed, { unread: !inThread });
    } else if (!inThread) enterFeed(feed);
  }, [feed.key]);

  // What is shown first: the message of a link, else the first unread, else the end.
  useLayoutEffect(() => {
    if (!state.loaded) return;
    const aim = targetId && stretch.ids.includes(targetId) ? targetId : '';
    const key = `${feed.key} ${aim}`;
    if (at.current.targeted === key || (targetId && !aim)) return;
    const first = aim || (at.current.done === feed.key ? '' : unreadId);
    if (first && !visible.includes(first)) {
      at.current.stuck = false;
      setWindow(around(stretch.ids, first));
      return;
    }
    at.current.targeted = key;
    at.current.done = feed.key;
    if (first) {
      at.current.stuck = false;
      reveal(first, aim ? 0.35 : 0.25);
    }
  });
  useLayoutEffect(restore);

  useEffect(() => {
    const box = scroller.current;
    const list = inner.current;
    if (!box || !list) return undefined;
    const sizes = new ResizeObserver(restore);
    sizes.observe(list);
    sizes.observe(box);
    return () => sizes.disconnect();
  }, [feed.key]);

  const look = () => {
    at.current.frame = 0;
    const box = scroller.current;
    if (!box) return;
    remember();
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    setAway(!atEnd || below > box.clientHeight);
    if (!at.current.stuck && window_.first === '') setWindow(hold(stretch.ids, window_));
    if (box.scrollTop < EDGE_PX) {
      if (start > 0) setWindow(up(stretch.ids, window_));
      else if (stretch.hasOlder) void loadOlder(feed);
    } else if (below < EDGE_PX) {
      if (end < stretch.ids.length) setWindow(down(stretch.ids, window_));
      else if (stretch.hasNewer) void loadNewer(feed);
    }
    if (at.current.stuck) {
      if (window_.first !== '') setWindow({ first: '' });
      if (document.hasFocus() && !inThread) seeChannel(feed.channelId);
    }
  };
  const scrolled = () => {
    at.current.frame ||= requestAnimationFrame(look);
  };
  // A short list does not scroll: what is missing is loaded, and what is there was seen.
  useEffect(() => {
    const frame = requestAnimationFrame(() => {
      const box = scroller.current;
      if (!box || !state.loaded || state.loading || state.error) return;
      if (start === 0 && stretch.hasOlder && box.scrollTop < EDGE_PX) void loadOlder(feed);
      if (at.current.stuck && atEnd && document.hasFocus() && !inThread) seeChannel(feed.channelId);
    });
    return () => cancelAnimationFrame(frame);
  }, [state.version, start, end]);
  useEffect(() => {
    const came = () => {
      if (at.current.stuck && !inThread) seeChannel(feed.channelId);
    };
    window.addEventListener('focus', came);
    return () => window.removeEventListener('focus', came);
  }, [feed.key]);

  const toEnd = async () => {
    if (stretch.hasNewer) await loadNewest(feed);
    at.current.stuck = true;
    setWindow({ first: '' });
    setAway(false);
    requestAnimationFrame(() => {
      at.current.stuck = true;
      restore();
    });
  };
  const toUnread = () => {
    if (!unreadId) return;
    at.current.stuck = false;
    setWindow(around(stretch.ids, unreadId));
    requestAnimationFrame(() => reveal(unreadId, 0.25));
  };
  // Arrow keys go from message to message once one has the focus.
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (!(event.target instanceof HTMLElement) || /^(TEXTAREA|INPUT|BUTTON|A)$/.test(event.target.tagName) === true) return;
    const rows = [.../** @type {NodeListOf<HTMLElement>} */ (inner.current?.querySelectorAll('[data-test=post]') ?? [])];
    const now = rows.indexOf(/** @type {HTMLElement} */ (event.target.closest('[data-test=post]')));
    const step = event.key === 'ArrowUp' ? -1 : event.key === 'ArrowDown' ? 1 : 0;
    if (step === 0) return;
    event.preventDefault();
    (now < 0 ? rows[rows.length - 1] : rows[Math.max(0, Math.min(rows.length - 1, now + step))])?.focus();
  };

  let before = start > 0 ? feed.posts.get(stretch.ids[start - 1]) : undefined;
  const rows = visible.map((id) => {
    const post = feed.posts.get(id);
    if (!post) return null;
    const newDay = !before || new Date(before.create_at).toDateString() !== new Date(post.create_at).toDateString();
    const isUnread = id === unreadId;
    const head = startsHead(post, before) || newDay || isUnread;
    before = post;
    return html`<div key=${id} data-row=${id}>
      ${newDay && html`<h3 class="day"><span>${day(post.create_at)}</span></h3>`}
      ${isUnread && html`<div class="unread-line" role="separator" aria-label="New messages from here"><span>New</span></div>`}
      <${Post} post=${post} head=${head} inThread=${inThread} lit=${id === targetId} />
    </div>`;
  });
  return html`<div class="timeline-box">
    <div class="timeline" ref=${scroller} data-test=${inThread ? undefined : 'timeline'} role="log" aria-label=${inThread ? 'Messages of the thread' : 'Messages'} aria-live="off" tabindex="0" onScroll=${scrolled} onKeyDown=${pressed}>
      <div class=${inThread ? 'timeline-inner in-thread' : 'timeline-inner'} ref=${inner}>
        ${state.error && html`<div class="error timeline-note" role="alert">${state.error} <button class="button" onClick=${() => loadFeed(feed)}>Try again</button></div>`}
        ${!state.loaded && !state.error && html`<p class="timeline-note hint" role="status">Loading messages…</p>`}
        ${state.loaded && (stretch.hasOlder ? html`<p class="timeline-note hint">${state.loading === 'older' ? 'Loading older messages…' : ' '}</p>` : !inThread && html`<p class="timeline-note hint">This is where the channel begins for this partner.</p>`)}
        ${rows}
        ${pending.map((item) => html`<div key=${item.id} data-row=${item.id}><${Pending} item=${item} /></div>`)}
      </div>
    </div>
    ${!inThread && unreadId && start > stretch.ids.indexOf(unreadId) && html`<button class="jump up" onClick=${toUnread}>To the first unread</button>`}
    ${away && html`<button class="jump" onClick=${toEnd} aria-label="To the newest message"><${Icon} name="down" />Newest</button>`}
    <${Said} feed=${feed} />
  </div>`;
}

/** Says new messages to those who do not see them come. @param {{feed: import('../feeds.js').Feed}} props */
function Said({ feed }) {
  const last = storeHook(feed.state)((it) => (it.stretch.hasNewer ? '' : it.stretch.ids[it.stretch.ids.length - 1] ?? ''));
  const first = useRef({ key: '', id: '' });
  if (first.current.key !== feed.key || !first.current.id) first.current = { key: feed.key, id: last };
  const post = feed.posts.get(last);
  const { users, me } = store.get();
  const text = post && last !== first.current.id && post.user_id !== me?.id ? `${users[post.user_id]?.username ?? 'somebody'}: ${post.message.slice(0, 200)}` : '';
  return html`<p class="unseen" aria-live="polite">${text}</p>`;
}
