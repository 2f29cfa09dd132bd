// The list of channels: favourites, those of each group of partners, direct messages.
import { html } from '../../vendor/html.js';
import { useStore, store, toastError } from '../state.js';
import { api } from '../api.js';
import { otherOf, displayName, partnerOf } from '../people.js';
import { safeName } from '../text.js';
import { unreadOf } from '../marks.js';
import { Avatar, Badge, PresenceWord } from './names.js';
import { Icon, memo } from './util.js';

/** Direct channels that are listed unless they are unread: the latest; all others are found by the switcher. */
const DIRECT_MOST = 40;

/**
 * The channels that a user put first, over all teams.
 * @param {Record<string, import('../types.js').Category[]>} categories
 */
export function favouritesOf(categories) {
  const all = Object.values(categories).flat().filter((it) => it.type === 'favorites');
  return new Set(all.flatMap((it) => it.channel_ids ?? []));
}

/**
 * Puts a channel first, or back.
 * @param {import('../types.js').Channel} channel
 */
export async function toggleFavourite(channel) {
  const { categories, teams } = store.get();
  const teamId = channel.team_id || teams[0]?.id;
  const lists = categories[teamId] ?? [];
  const favourite = favouritesOf(categories).has(channel.id);
  const changed = lists.map((it) => ({
    ...it,
    channel_ids: it.type === 'favorites' && !favourite ? [...it.channel_ids, channel.id] : it.channel_ids.filter((id) => id !== channel.id),
  }));
  store.set({ categories: { ...categories, [teamId]: changed } });
  try {
    await api.put(`/api/v4/users/me/teams/${teamId}/channels/categories`, changed);
    const told = await api.get(`/api/v4/users/me/teams/${teamId}/channels/categories`);
    store.set((state) => ({ categories: { ...state.categories, [teamId]: told.categories } }));
  } catch (error) {
    store.set({ categories });
    toastError(error, 'The favourite is not kept');
  }
}

/** @param {{id: string}} props */
function ChannelLinkView({ id }) {
  const channel = useStore((state) => state.channels[id]);
  const member = useStore((state) => state.members[id]);
  const current = useStore((state) => state.channelId === id);
  const me = useStore((state) => state.me?.id ?? '');
  const draft = useStore((state) => !!state.drafts[id]?.message);
  const other = useStore((state) => (channel?.type === 'D' ? state.users[otherOf(channel, me)] : undefined));
  const status = useStore((state) => (channel?.type === 'D' ? state.statuses[otherOf(channel, me)] : undefined));
  const own = useStore((state) => state.partner);
  if (!channel) return null;
  const { unread, mentions, muted } = unreadOf(channel, member);
  const name = channel.type === 'D' ? displayName(other) : channel.display_name;
  const marks = unread > 0 || mentions > 0;
  return html`<li><a class=${`channel-link ${current ? 'current' : ''} ${marks ? 'has-unread' : ''} ${muted ? 'muted' : ''}`} data-test="channel-link" data-channel=${id} href=${`/channel/${id}`} aria-current=${current ? 'page' : undefined}>
    ${channel.type === 'D' ? html`<${Avatar} user=${other} small status=${status ?? 'offline'} />` : html`<${Icon} name=${channel.type === 'G' ? 'people' : channel.type === 'P' ? 'lock' : channel.shared ? 'share' : 'hash'} />`}
    <bdi class="grow ellipsis" dir="auto">${safeName(name)}</bdi>
    ${channel.type === 'D' && html`<${Badge} partner=${partnerOf(other, own)} /><${PresenceWord} status=${status} />`}
    ${draft && !current && html`<span class="draft-mark" title="A draft is here"><${Icon} name="edit" /><span class="unseen">, draft</span></span>`}
    ${mentions > 0 ? html`<span class="count">${mentions}<span class="unseen"> mentions</span></span>` : unread > 0 ? html`<span class="dot"><span class="unseen">${unread} unread</span></span>` : null}
  </a></li>`;
}
const ChannelLink = memo(ChannelLinkView);

/** @param {{title: any, label: string, ids: string[], children?: any}} props */
function Section({ title, label, ids, children }) {
  if (ids.length === 0 && !children) return null;
  return html`<section class="side-section" aria-label=${label}>
    <div class="side-title"><h2>${title}</h2>${children}</div>
    <ul class="plain">${ids.map((id) => html`<${ChannelLink} key=${id} id=${id} />`)}</ul>
  </section>`;
}

/** @type {{from: any[], text: string} | null} */
let lastOrder = null;

/** @param {Record<string, any>} state which channels there are, in which order: text, so that views compare it */
const orderOf = (state) => {
  const from = [state.channels, state.categories, state.teams, state.channelId, state.members];
  if (lastOrder && from.every((it, at) => it === lastOrder?.from[at])) return lastOrder.text;
  const favourites = favouritesOf(state.categories);
  const all = /** @type {import('../types.js').Channel[]} */ (Object.values(state.channels)).filter((it) => !it.delete_at);
  const byName = (/** @type {any} */ one, /** @type {any} */ other) => one.display_name.localeCompare(other.display_name);
  const rest = all.filter((it) => !favourites.has(it.id));
  const direct = rest.filter((it) => it.type === 'D' || it.type === 'G').sort((one, other) => other.last_post_at - one.last_post_at);
  const shown = direct.filter((it, at) => at < DIRECT_MOST || unreadOf(it, state.members[it.id]).unread > 0 || it.id === state.channelId);
  const text = JSON.stringify({
    favourites: all.filter((it) => favourites.has(it.id)).sort(byName).map((it) => it.id),
    teams: state.teams.map((/** @type {any} */ team) => rest.filter((it) => it.team_id === team.id && it.type !== 'D' && it.type !== 'G').sort(byName).map((it) => it.id)),
    direct: shown.map((it) => it.id),
  });
  lastOrder = { from, text };
  return text;
};

/** The list of channels. */
export function Sidebar() {
  const order = JSON.parse(useStore(orderOf));
  const teams = useStore((state) => state.teams);
  const me = useStore((state) => state.me);
  const own = useStore((state) => state.partner);
  const status = useStore((state) => (me ? state.statuses[me.id] : undefined));
  const open = (/** @type {string} */ kind) => () => store.set({ sheet: { kind } });
  const teamTitle = (/** @type {import('../types.js').Team} */ team) => team.display_name.split(' + ').map((partner) => html`<${Badge} key=${partner} partner=${partner} />`);
  return html`<nav class="side" aria-label="Channels">
    <div class="side-head">
      <button class="side-user grow" onClick=${open('settings')} aria-label=${`Your settings: ${me?.username ?? ''} of ${own}`}>
        <${Avatar} user=${me} status=${status ?? 'online'} />
        <span class="grow side-user-name"><bdi class="ellipsis" dir="auto">${safeName(displayName(me ?? undefined))}</bdi><${Badge} partner=${own} /></span>
      </button>
      <button class="icon-button" aria-label="Switch to a channel or person (Ctrl+K)" title="Switch (Ctrl+K)" onClick=${open('switcher')}><${Icon} name="search" /></button>
      <button class="icon-button" aria-label="New message, channel or person" title="New" onClick=${open('new')}><${Icon} name="plus" /></button>
    </div>
    <div class="side-scroll" data-test="channel-list">
      <div data-test="team-list">
        <${Section} title="Favourites" label="Favourites" ids=${order.favourites} />
        ${teams.map((team, at) => html`<${Section} key=${team.id} title=${html`<span class="team-title"><span class="unseen">Channels of </span>${teamTitle(team)}</span>`} label=${`Channels of ${team.display_name}`} ids=${order.teams[at] ?? []} />`)}
        <${Section} title="Direct messages" label="Direct messages" ids=${order.direct}>
          <button class="icon-button" aria-label="Write to somebody" title="Write to somebody" onClick=${open('new')}><${Icon} name="plus" /></button>
        <//>
      </div>
    </div>
    <div class="side-foot">
      <button class="icon-button" aria-label="Shortcuts and help (Ctrl+/)" title="Help (Ctrl+/)" onClick=${open('help')}><${Icon} name="help" /></button>
      <button class="icon-button" aria-label="Settings" title="Settings" onClick=${open('settings')}><${Icon} name="gear" /></button>
      <a class="side-console" href="/console">Console</a>
    </div>
  </nav>`;
}
