// What the node tells by its socket.
import { api } from './api.js';
import { store } from './state.js';
import { knownPost, takeDeleted, takeEdited, takePosted, takeReaction } from './feeds.js';
import { learnUsers, wantUser } from './people.js';
import { noteEcho } from './sending.js';
import { nudgeDelivery } from './delivery.js';
import { takeDraft } from './drafts.js';
import { notify } from './notify.js';
import { seeChannel } from './marks.js';

/** How long a word of typing holds. */
const TYPING_MS = 6_000;

/** @param {unknown} text @returns {any} */
function parsed(text) {
  if (typeof text !== 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {string} id */
async function loadChannel(id) {
  if (!id) return;
  try {
    const [channel, member] = await Promise.all([api.get(`/api/v4/channels/${id}`), api.get(`/api/v4/channels/${id}/members/me`)]);
    store.set((state) => ({ channels: { ...state.channels, [id]: channel }, members: { ...state.members, [id]: member } }));
    for (const user of channel.type === 'D' ? channel.name.split('__') : []) wantUser(user);
  } catch {
    // It went again before it was looked at.
  }
}

/** @param {string} id */
function dropChannel(id) {
  store.set((state) => {
    const channels = { ...state.channels };
    delete channels[id];
    return { channels };
  });
}

/** @param {any} data @param {import('./types.js').Post} post */
function posted(data, post) {
  const { me, channels, members, channelId } = store.get();
  if (!me) return;
  const own = post.user_id === me.id;
  if (own) noteEcho(post);
  const known = knownPost(post.id);
  takePosted(post);
  const channel = channels[post.channel_id];
  const member = members[post.channel_id];
  if (!channel) {
    loadChannel(post.channel_id);
  } else if (!known || !own) {
    const mentioned = (parsed(data.mentions) ?? []).includes(me.id);
    store.set((state) => ({
      channels: { ...state.channels, [channel.id]: { ...channel, total_msg_count: channel.total_msg_count + 1, last_post_at: Math.max(channel.last_post_at, post.create_at) } },
      ...(member && { members: { ...state.members, [channel.id]: { ...member, msg_count: own ? channel.total_msg_count + 1 : member.msg_count, mention_count: member.mention_count + Number(mentioned) } } }),
      typing: { ...state.typing, [channel.id]: (state.typing[channel.id] ?? []).filter((it) => it.userId !== post.user_id) },
    }));
    const looking = document.visibilityState === 'visible' && document.hasFocus() && channelId === channel.id;
    if (!own && looking) seeChannel(channel.id);
    if (!own && !looking && mentioned && !post.props.comity_late) notify(post, channel);
  }
  nudgeDelivery();
}

/** @param {any} data @param {any} broadcast */
function typing(data, broadcast) {
  const channelId = broadcast?.channel_id;
  if (!channelId || data.user_id === store.get().me?.id) return;
  wantUser(data.user_id);
  store.set((state) => {
    const others = (state.typing[channelId] ?? []).filter((it) => it.userId !== data.user_id);
    return { typing: { ...state.typing, [channelId]: [...others, { userId: data.user_id, rootId: data.parent_id ?? '', untilMs: Date.now() + TYPING_MS }] } };
  });
}

/**
 * Takes one event.
 * @param {{event: string, data: any, broadcast?: any}} event
 */
export function onEvent({ event, data, broadcast }) {
  const post = data?.post === undefined ? null : parsed(data.post);
  switch (event) {
    case 'posted':
      if (post) posted(data, post);
      break;
    case 'post_edited':
      if (post) takeEdited(post);
      nudgeDelivery();
      break;
    case 'post_deleted':
      if (post) takeDeleted(post);
      break;
    case 'reaction_added':
    case 'reaction_removed': {
      const reaction = parsed(data.reaction);
      if (reaction) {
        wantUser(reaction.user_id);
        takeReaction(reaction, event === 'reaction_added');
      }
      nudgeDelivery();
      break;
    }
    case 'typing':
      typing(data, broadcast);
      break;
    case 'status_change':
      store.set((state) => ({ statuses: { ...state.statuses, [data.user_id]: data.status } }));
      break;
    case 'user_updated':
    case 'new_user':
      if (data.user) {
        learnUsers([data.user]);
        if (data.user.id === store.get().me?.id) store.set((state) => ({ me: { .../** @type {any} */ (state.me), ...data.user } }));
      } else if (data.user_id) wantUser(data.user_id);
      break;
    case 'channel_created':
    case 'direct_added':
    case 'group_added':
      loadChannel(data.channel_id ?? broadcast?.channel_id);
      break;
    case 'channel_updated': {
      const channel = parsed(data.channel);
      if (channel) {
        const held = store.get().channels[channel.id];
        // Of a direct channel the event does not know who asks: the name stays as it was answered.
        if (held) store.set((state) => ({ channels: { ...state.channels, [channel.id]: { ...channel, display_name: held.type === 'D' || held.type === 'G' ? held.display_name : channel.display_name } } }));
        else loadChannel(channel.id);
        store.set((state) => {
          const readers = { ...state.readers };
          delete readers[channel.id];
          return { readers };
        });
      }
      nudgeDelivery();
      break;
    }
    case 'user_added':
      if (data.user_id === store.get().me?.id) loadChannel(data.channel_id ?? broadcast?.channel_id);
      break;
    case 'user_removed':
      if (data.user_id === store.get().me?.id || broadcast?.user_id === store.get().me?.id) dropChannel(data.channel_id ?? broadcast?.channel_id);
      break;
    case 'multiple_channels_viewed':
      store.set((state) => {
        const members = { ...state.members };
        for (const [id, time] of Object.entries(data.channel_times ?? {})) {
          if (members[id]) members[id] = { ...members[id], msg_count: state.channels[id]?.total_msg_count ?? 0, mention_count: 0, last_viewed_at: Number(time) };
        }
        return { members };
      });
      break;
    case 'post_unread':
      store.set((state) => ({ members: { ...state.members, [data.channel_id]: { ...state.members[data.channel_id], msg_count: data.msg_count, mention_count: data.mention_count, last_viewed_at: data.last_viewed_at } } }));
      break;
    case 'preferences_changed':
    case 'preferences_deleted':
      store.set((state) => {
        const preferences = { ...state.preferences };
        for (const it of parsed(data.preferences) ?? []) {
          if (event === 'preferences_changed') preferences[`${it.category}/${it.name}`] = it.value;
          else delete preferences[`${it.category}/${it.name}`];
        }
        return { preferences };
      });
      break;
    case 'draft_created':
    case 'draft_updated':
    case 'draft_deleted': {
      const draft = parsed(data.draft);
      if (draft) takeDraft(draft, event === 'draft_deleted');
      break;
    }
    case 'ephemeral_message':
      if (post) store.set((state) => ({ toasts: [...state.toasts, { id: -Date.now(), text: post.message, bad: false }].slice(-3) }));
      break;
    default:
  }
}

