// One channel: with whom it is shared, its messages, and the composer.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { navigate, store, useStore } from '../state.js';
import { feedOf, loadAround } from '../feeds.js';
import { displayName, otherOf, partnerOf } from '../people.js';
import { inOrder } from '../audience.js';
import { safeName } from '../text.js';
import { Avatar, Badge, Name, PresenceWord } from './names.js';
import { Timeline } from './timeline.js';
import { Composer } from './composer.js';
import { favouritesOf, toggleFavourite } from './sidebar.js';
import { Icon } from './util.js';

/** Loads who reads a channel. @param {string} id */
async function loadReaders(id) {
  try {
    const told = await api.get(`/api/comity/v1/channels/${id}`);
    store.set((state) => ({ readers: { ...state.readers, [id]: told.partners } }));
  } catch {
    // The line then says that it is not known.
  }
}

/** The partners of a channel. @param {{id: string}} props */
function PartnersLine({ id }) {
  const readers = useStore((state) => state.readers[id]);
  const header = useStore((state) => state.channels[id]?.header);
  const links = useStore((state) => state.partners);
  const own = useStore((state) => state.partner);
  useEffect(() => {
    if (!readers) void loadReaders(id);
  }, [id, header, readers]);
  const active = (readers ?? []).filter((it) => it.status === 'active');
  const others = (readers ?? []).filter((it) => it.status !== 'active');
  const names = inOrder(active.map((it) => it.partner), own);
  return html`<button class="partners-line" data-test="partners-line" title="Who can see this channel" onClick=${() => store.set({ sheet: { kind: 'who', channelId: id } })}>
    <${Icon} name="eye" /><span class="unseen">Read by </span>${readers ? names.map((it) => html`<span key=${it} class="partner-link"><${Badge} partner=${it} />${links[it] && !links[it].connected && html`<span class="not-linked">not linked</span>`}</span>`) : html`<span class="hint">…</span>`}
    ${others.map((it) => html`<span key=${it.partner} class="partner-gone"><${Badge} partner=${it.partner} />${it.status}</span>`)}
  </button>`;
}

/** @param {{channel: import('../types.js').Channel}} props */
function Header({ channel }) {
  const me = useStore((state) => state.me?.id ?? '');
  const other = useStore((state) => (channel.type === 'D' ? state.users[otherOf(channel, me)] : undefined));
  const status = useStore((state) => (channel.type === 'D' ? state.statuses[otherOf(channel, me)] : undefined));
  const favourite = useStore((state) => favouritesOf(state.categories).has(channel.id));
  const own = useStore((state) => state.partner);
  const open = (/** @type {string} */ kind) => store.set({ sheet: { kind, channelId: channel.id } });
  return html`<header class="channel-head" data-test="channel-header">
    <button class="icon-button only-phone" aria-label="Back to the channels" onClick=${() => navigate('/')}><${Icon} name="back" /></button>
    <div class="grow channel-title">
      <div class="channel-name">
        ${channel.type === 'D' ? html`<${Avatar} user=${other} small status=${status ?? 'offline'} />` : html`<${Icon} name=${channel.type === 'P' ? 'lock' : channel.type === 'G' ? 'people' : channel.shared ? 'share' : 'hash'} />`}
        <h1 class="ellipsis" dir="auto">${safeName(channel.type === 'D' ? displayName(other) : channel.display_name)}</h1>
        ${channel.type === 'D' && html`<${Badge} partner=${partnerOf(other, own)} /><${PresenceWord} status=${status} />`}
      </div>
      <div class="channel-facts"><${PartnersLine} id=${channel.id} /><span class="label-field" data-test="label-field" title="This channel bears no label: its messages are not marked with a level."><${Icon} name="tag" />no label</span></div>
    </div>
    <div class="head-tools">
      <button class="icon-button" aria-pressed=${favourite} aria-label=${favourite ? 'Take from the favourites' : 'Put to the favourites'} title="Favourite" onClick=${() => toggleFavourite(channel)}><span class=${favourite ? 'star on' : 'star'}><${Icon} name="star" /></span></button>
      <button class="icon-button" aria-label="Pinned messages" title="Pinned messages" onClick=${() => store.set({ pane: { kind: 'pins', id: channel.id } })}><${Icon} name="pin" /></button>
      <button class="icon-button" aria-label="People here" title="People here" onClick=${() => open('members')}><${Icon} name="people" /></button>
      <button class="icon-button" data-test="search-open" aria-label="Search messages (Ctrl+Shift+F)" title="Search (Ctrl+Shift+F)" onClick=${() => store.set({ pane: { kind: 'search', id: channel.id } })}><${Icon} name="search" /></button>
    </div>
  </header>`;
}

/** Who types. @param {{channelId: string, rootId?: string}} props */
export function TypingLine({ channelId, rootId = '' }) {
  const typing = useStore((state) => state.typing[channelId]);
  const here = (typing ?? []).filter((it) => it.rootId === rootId).slice(0, 3);
  return html`<p class="typing">${here.length > 0 && html`${here.map((it) => html`<${Name} key=${it.userId} id=${it.userId} plain />`)} <span>${here.length === 1 ? 'is typing…' : 'are typing…'}</span>`}</p>`;
}

/**
 * A channel's screen.
 * @param {{id: string, targetId: string}} props
 */
export function ChannelView({ id, targetId }) {
  const channel = useStore((state) => state.channels[id]);
  const [missing, setMissing] = useState('');
  useEffect(() => {
    setMissing('');
    if (!targetId) return;
    loadAround(feedOf(id), targetId).then((found) => !found && setMissing('That message is not here: it was withdrawn, or is not for you.'));
  }, [id, targetId]);
  if (!channel) return html`<main class="centre main"><h1>No such channel</h1><p>It does not exist, or you are not in it.</p><a class="button" href="/">To your channels</a></main>`;
  return html`<main class="main" aria-label=${`Channel ${channel.display_name}`}>
    <${Header} key=${id} channel=${channel} />
    ${missing && html`<p class="error" role="alert">${missing}</p>`}
    <${Timeline} key=${`t${id}`} feed=${feedOf(id)} targetId=${targetId} />
    <${TypingLine} channelId=${id} />
    <${Composer} key=${`c${id}`} channelId=${id} autofocus />
  </main>`;
}
