// One message: who wrote it, what it says, who may read it, how far it came, and what can be done with it.
import { html } from '../../vendor/html.js';
import { useEffect, useRef, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { navigate, store, toast, toastError, useStore } from '../state.js';
import { knownPost, patchPost, takeEdited, takeReaction } from '../feeds.js';
import { deliveryWords, inOrder, listed } from '../audience.js';
import { watchDelivery } from '../delivery.js';
import { markUnread } from '../marks.js';
import { wantUser } from '../people.js';
import { renderMessage } from '../text.js';
import { Avatar, Badge, Name } from './names.js';
import { Files } from './files.js';
import { clock, Icon, memo, moment, shortClock } from './util.js';
import { emojiOf, emojiText, useEmoji } from './emoji.js';

/** Opens the profile of whoever is mentioned. @param {string} name */
const onMention = (name) => store.set({ sheet: { kind: 'person', name } });
/** Goes to a channel of that name. @param {string} name */
function onChannelLink(name) {
  const found = Object.values(store.get().channels).find((it) => it.name === name && it.type !== 'D');
  if (found) navigate(`/channel/${found.id}`);
}

/** @param {string} id */
const onPostLink = (id) => navigate(`/post/${id}`);
/** An emoji by its name: only then are the names loaded. */
const NAMED_EMOJI = /:[a-z0-9_+-]{1,40}:/i;
/** @type {{from: unknown, names: Set<string>}} */
let named = { from: null, names: new Set() };

/** The names of this person's channels, made anew when those change. */
function channelNames() {
  const { channels } = store.get();
  if (named.from !== channels) named = { from: channels, names: new Set(Object.values(channels).filter((it) => it.type !== 'D').map((it) => it.name)) };
  return named.names;
}

/** The message's text. @param {{post: import('../types.js').Post, terms?: string[]}} props */
function TextView({ post, terms }) {
  const ownName = useStore((state) => state.me?.username ?? '');
  const partner = useStore((state) => state.partner);
  const emoji = useEmoji(NAMED_EMOJI.test(post.message));
  return html`<div class="post-text" dir="auto">${renderMessage(post.message, { ownName, partner, onMention, onChannelLink, onPostLink, channelNames: channelNames(), searchTerms: terms, ...(emoji && { emoji: emojiOf }) })}${post.edit_at > 0 && html`<button class="edited" title=${`Edited ${moment(post.edit_at)}`} onClick=${() => store.set({ sheet: { kind: 'history', post } })}>edited</button>`}</div>`;
}
const Text = memo(TextView);

/** @param {{post: import('../types.js').Post}} props */
function Reactions({ post }) {
  return (post.metadata.reactions ?? []).length > 0 ? html`<${GivenReactions} post=${post} />` : null;
}

/** @param {{post: import('../types.js').Post}} props */
function GivenReactions({ post }) {
  const me = useStore((state) => state.me?.id ?? '');
  const users = useStore((state) => state.users);
  const ready = useEmoji();
  /** @type {Map<string, string[]>} */
  const given = new Map();
  for (const it of post.metadata.reactions ?? []) given.set(it.emoji_name, [...(given.get(it.emoji_name) ?? []), it.user_id]);
  return html`<div class="reactions">${[...given].map(([name, ids]) => {
    ids.forEach(wantUser);
    const who = listed(ids.slice(0, 20).map((id) => users[id]?.username ?? '…'));
    return html`<button key=${name} class=${`reaction ${ids.includes(me) ? 'own' : ''}`} aria-pressed=${ids.includes(me)} title=${`${who}: :${name}:`} aria-label=${`${name}, ${ids.length}: ${who}`} onClick=${() => react(post, name)}><span>${ready ? emojiText(name) : `:${name}:`}</span> ${ids.length}</button>`;
  })}
  <button class="reaction add" aria-label="Add a reaction" onClick=${() => store.set({ sheet: { kind: 'react', post } })}><${Icon} name="smile" /></button></div>`;
}

/**
 * Gives a reaction, or takes it back.
 * @param {import('../types.js').Post} post
 * @param {string} name
 */
export async function react(post, name) {
  const me = store.get().me?.id ?? '';
  const held = (knownPost(post.id) ?? post).metadata.reactions ?? [];
  const given = !held.some((it) => it.user_id === me && it.emoji_name === name);
  const reaction = { user_id: me, post_id: post.id, emoji_name: name, create_at: Date.now() };
  takeReaction(reaction, given);
  try {
    if (given) await api.post('/api/v4/reactions', reaction);
    else await api.del(`/api/v4/users/me/posts/${post.id}/reactions/${encodeURIComponent(name)}`);
  } catch (error) {
    takeReaction(reaction, !given);
    toastError(error, 'The reaction is not kept');
  }
}

/** @param {{id: string, own: boolean}} props */
function DeliveryView({ id, own }) {
  const delivery = useStore((state) => state.delivery[id]);
  const partner = useStore((state) => state.partner);
  const words = deliveryWords(delivery, partner);
  const icon = words.state === 'final' ? 'checks' : words.state === 'received' ? 'check' : words.state === 'unknown' ? 'clock' : 'clock';
  return html`<button class=${`delivery ${words.state}`} data-test="delivery" data-state=${words.state} title=${`${words.long} Press for who can see this.`} aria-label=${`Delivery: ${words.long}`} onClick=${() => store.set({ sheet: { kind: 'who', postId: id } })}><${Icon} name=${icon} />${own && words.state !== 'final' && html`<span class="delivery-text">${words.short}</span>`}</button>`;
}
const Delivery = memo(DeliveryView);

/** @param {{post: import('../types.js').Post}} props */
function Marks({ post }) {
  const partner = useStore((state) => state.partner);
  const audience = post.props.comity_audience;
  return html`${audience && html`<button class="mark narrowed" title="Written for some of the channel’s partners. Press for who can see this." onClick=${() => store.set({ sheet: { kind: 'who', postId: post.id } })}><${Icon} name="eye" /><span>only ${inOrder(audience, partner).map((it) => html`<${Badge} key=${it} partner=${it} />`)}</span></button>`}
    ${post.props.comity_late && html`<span class="mark late" data-test="late-mark" title="It came after what the partners had agreed on, and stands where its writer placed it."><${Icon} name="clock" />arrived late</span>`}
    ${post.props.comity_forked && html`<span class="mark forked" data-test="fork-mark" title="Its writer’s node was proved to have signed two events for one position: others may have been shown another one."><${Icon} name="fork" />writer forked</span>`}
    ${post.is_pinned && html`<span class="mark pinned"><${Icon} name="pin" />pinned</span>`}`;
}

/** @param {string} text @param {string} what */
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    toast(`Not copied: the browser did not allow it. ${what}: ${text}`, { bad: true });
  }
}

/** @param {import('../types.js').Post} post */
async function pin(post) {
  patchPost(post.id, (held) => ({ ...held, is_pinned: !post.is_pinned }));
  try {
    await api.post(`/api/v4/posts/${post.id}/${post.is_pinned ? 'unpin' : 'pin'}`);
  } catch (error) {
    patchPost(post.id, (held) => ({ ...held, is_pinned: post.is_pinned }));
    toastError(error, 'The pin is not changed');
  }
}

/** @param {import('../types.js').Post} post */
function withdraw(post) {
  store.set({
    sheet: {
      kind: 'confirm',
      title: 'Withdraw this message?',
      text: 'It disappears here and at every partner that received it, once they learn of it. Who read it has read it.',
      verb: 'Withdraw',
      danger: true,
      run: async () => {
        await api.del(`/api/v4/posts/${post.id}`);
        takeEdited({ ...post, delete_at: Date.now() });
      },
    },
  });
}

/** @param {{post: import('../types.js').Post, inThread?: boolean, onEdit: () => void}} props */
function Actions({ post, inThread, onEdit }) {
  const [open, setOpen] = useState(false);
  const own = useStore((state) => state.me?.id === post.user_id);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!open) return undefined;
    /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector('[role=menuitem]'))?.focus();
    const close = (/** @type {Event} */ event) => {
      if (event instanceof KeyboardEvent) {
        const items = [.../** @type {NodeListOf<HTMLElement>} */ (box.current?.querySelectorAll('[role=menuitem]') ?? [])];
        const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
        if (event.key === 'ArrowDown') items[(at + 1) % items.length]?.focus();
        else if (event.key === 'ArrowUp') items[(at - 1 + items.length) % items.length]?.focus();
        else if (event.key !== 'Escape') return;
        event.preventDefault();
        event.stopPropagation();
        if (event.key !== 'Escape') return;
        /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector('[aria-haspopup]'))?.focus();
        setOpen(false);
        return;
      }
      if (event.target instanceof Node && box.current?.contains(event.target)) return;
      setOpen(false);
    };
    document.addEventListener('mousedown', close);
    document.addEventListener('keydown', close, true);
    return () => {
      document.removeEventListener('mousedown', close);
      document.removeEventListener('keydown', close, true);
    };
  }, [open]);
  const item = (/** @type {string} */ icon, /** @type {string} */ label, /** @type {() => void} */ run, danger = false) =>
    html`<button role="menuitem" class=${danger ? 'danger' : ''} onClick=${() => (setOpen(false), run())}><${Icon} name=${icon} />${label}</button>`;
  return html`<div class=${`post-actions ${open ? 'open' : ''}`} ref=${box} role="group" aria-label="Actions">
    <button class="icon-button" aria-label="React" title="React" onClick=${() => store.set({ sheet: { kind: 'react', post } })}><${Icon} name="smile" /></button>
    ${!inThread && html`<button class="icon-button" aria-label="Answer in a thread" title="Answer in a thread" onClick=${() => navigate(`/thread/${post.root_id || post.id}`)}><${Icon} name="reply" /></button>`}
    <button class="icon-button" aria-label="More" title="More" aria-haspopup="menu" aria-expanded=${open} onClick=${() => setOpen(!open)}><${Icon} name="more" /></button>
    ${open && html`<div class="menu" role="menu">
      ${item('eye', 'Who can see this', () => store.set({ sheet: { kind: 'who', postId: post.id } }))}
      ${item('unread', 'Mark unread from here', () => void markUnread(post))}
      ${item('pin', post.is_pinned ? 'Unpin' : 'Pin to the channel', () => void pin(post))}
      ${item('link', 'Copy link', () => void copy(`${location.origin}/post/${post.id}`, 'Link'))}
      ${item('copy', 'Copy text', () => void copy(post.message, 'Text'))}
      ${own && item('edit', 'Edit', onEdit)}
      ${own && item('bin', 'Withdraw', () => withdraw(post), true)}
    </div>`}
  </div>`;
}

/** @param {{post: import('../types.js').Post, done: () => void}} props */
function Editor({ post, done }) {
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const element = area.current;
    if (!element) return;
    element.focus();
    element.setSelectionRange(element.value.length, element.value.length);
  }, []);
  const save = async () => {
    const message = area.current?.value ?? '';
    if (message === post.message) return done();
    setBusy(true);
    try {
      takeEdited(await api.put(`/api/v4/posts/${post.id}/patch`, { message }));
      done();
    } catch (error) {
      setBusy(false);
      toastError(error, 'Not changed');
    }
    return undefined;
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      done();
    } else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      void save();
    }
  };
  return html`<div class="editor"><textarea ref=${area} dir="auto" rows="3" aria-label="Edit the message" disabled=${busy} onKeyDown=${pressed}>${post.message}</textarea>
    <p class="hint">The new text goes to those who received the first one.</p>
    <div class="row"><button class="button primary" disabled=${busy} onClick=${save}>Save</button><button class="button" onClick=${done}>Cancel</button></div></div>`;
}

/** @param {{id: string}} props */
function AnswerTo({ id }) {
  const root = knownPost(id);
  const author = useStore((state) => (root ? state.users[root.user_id]?.username : ''));
  return html`<a class="answer-to" href=${`/thread/${id}`}><${Icon} name="reply" /><span class="ellipsis" dir="auto">${root ? html`answers <bdi>${author}</bdi>: ${root.message.slice(0, 120)}` : 'an answer in a thread'}</span></a>`;
}

/**
 * A message with all that belongs to it.
 * @param {{post: import('../types.js').Post, head: boolean, inThread?: boolean, lit?: boolean, watch?: boolean, terms?: string[]}} props
 */
function PostView({ post, head, inThread, lit, watch = true, terms }) {
  const author = useStore((state) => state.users[post.user_id]);
  const me = useStore((state) => state.me?.id ?? '');
  const [editing, setEditing] = useState(false);
  // What can be done with a message is drawn when somebody comes near: it would double what a list costs.
  const [near, setNear] = useState(false);
  const come = near ? undefined : () => setNear(true);
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    wantUser(post.user_id);
    const node = element.current;
    if (!node || !watch) return undefined;
    return watchView(node, (inView) => watchDelivery(post.id, inView));
  }, [post.id]);
  useEffect(() => {
    const edit = () => setEditing(true);
    const node = element.current;
    node?.addEventListener('comity-edit', edit);
    return () => node?.removeEventListener('comity-edit', edit);
  }, []);
  const narrowed = !!post.props.comity_audience;
  const classes = ['post', head ? 'with-head' : '', narrowed ? 'is-narrowed' : '', post.props.comity_late ? 'is-late' : '', lit ? 'lit' : '', post.is_pinned ? 'is-pinned' : ''];
  return html`<article ref=${element} class=${classes.filter(Boolean).join(' ')} data-test="post" data-post=${post.id} tabindex="-1" onMouseEnter=${come} onFocusIn=${come} onTouchStart=${come} aria-label=${`${author?.username ?? 'somebody'}, ${clock(post.create_at)}`}>
    <div class="post-side">${head ? html`<${Avatar} user=${author} />` : html`<time class="post-time-side" datetime=${new Date(post.create_at).toISOString()}>${shortClock(post.create_at)}</time>`}</div>
    <div class="post-main">
      ${head && html`<header class="post-head"><button class="name-button" onClick=${() => store.set({ sheet: { kind: 'person', id: post.user_id } })}><${Name} id=${post.user_id} /></button><a class="post-time" href=${`/post/${post.id}`} title=${moment(post.create_at)}><time datetime=${new Date(post.create_at).toISOString()}>${clock(post.create_at)}</time></a></header>`}
      ${(narrowed || post.props.comity_late || post.props.comity_forked || post.is_pinned) && html`<div class="marks"><${Marks} post=${post} /></div>`}
      ${post.root_id && !inThread && html`<${AnswerTo} id=${post.root_id} />`}
      ${editing ? html`<${Editor} post=${post} done=${() => (setEditing(false), element.current?.focus())} />` : html`<${Text} post=${post} terms=${terms} />`}
      ${(post.metadata.files ?? []).length > 0 && html`<${Files} files=${post.metadata.files} />`}
      <${Reactions} post=${post} />
      ${post.reply_count > 0 && !inThread && !post.root_id && html`<a class="replies" href=${`/thread/${post.id}`}><${Icon} name="reply" />${post.reply_count} ${post.reply_count === 1 ? 'answer' : 'answers'}</a>`}
    </div>
    <div class="post-end"><${Delivery} id=${post.id} own=${post.user_id === me} /></div>
    ${near && !editing && html`<${Actions} post=${post} inThread=${inThread} onEdit=${() => setEditing(true)} />`}
  </article>`;
}
export const Post = memo(PostView);

/** @type {WeakMap<Element, (inView: boolean) => void>} */
const watched = new WeakMap();
const observer = typeof IntersectionObserver === 'undefined' ? null : new IntersectionObserver((entries) => entries.forEach((it) => watched.get(it.target)?.(it.isIntersecting)));

/** @param {Element} element @param {(inView: boolean) => void} tell */
function watchView(element, tell) {
  watched.set(element, tell);
  observer?.observe(element);
  return () => {
    observer?.unobserve(element);
    watched.delete(element);
    tell(false);
  };
}
