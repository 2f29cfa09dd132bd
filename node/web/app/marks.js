// What was read: told to the node when somebody really looks, never when a message is to stay unread.
import { api } from './api.js';
import { store, toastError } from './state.js';

/** Looks are gathered for this long: many messages come at once. */
const GATHER_MS = 800;

/** The channel that somebody marked unread and still looks at. */
let heldUnread = '';
/** @type {Map<string, any>} */
const timers = new Map();

/**
 * Somebody looks at the end of a channel.
 * @param {string} channelId
 */
export function seeChannel(channelId) {
  if (heldUnread === channelId || timers.has(channelId)) return;
  timers.set(
    channelId,
    setTimeout(async () => {
      timers.delete(channelId);
      const { channels, members } = store.get();
      const channel = channels[channelId];
      const member = members[channelId];
      if (!channel || !member || heldUnread === channelId) return;
      if (member.msg_count >= channel.total_msg_count && member.mention_count === 0) return;
      try {
        await api.post('/api/v4/channels/members/me/view', { channel_id: channelId });
        store.set((state) => ({ members: { ...state.members, [channelId]: { ...state.members[channelId], msg_count: state.channels[channelId]?.total_msg_count ?? 0, mention_count: 0, last_viewed_at: Date.now() } } }));
      } catch {
        // It stays unread until the next look.
      }
    }, GATHER_MS),
  );
}

/** Somebody left a channel: what was marked unread there counts as unread no longer when they come back. */
export function leftChannel() {
  heldUnread = '';
}

/**
 * Marks all from a post on as unread.
 * @param {import('./types.js').Post} post
 */
export async function markUnread(post) {
  heldUnread = post.channel_id;
  try {
    const told = await api.post(`/api/v4/users/me/posts/${post.id}/set_unread`);
    store.set((state) => ({ members: { ...state.members, [post.channel_id]: { ...state.members[post.channel_id], msg_count: told.msg_count, mention_count: told.mention_count, last_viewed_at: told.last_viewed_at } } }));
  } catch (error) {
    heldUnread = '';
    toastError(error, 'Not marked unread');
  }
}

/**
 * How many messages of a channel are unread, and how many of them mention this person.
 * @param {import('./types.js').Channel} channel
 * @param {import('./types.js').Member | undefined} member
 */
export function unreadOf(channel, member) {
  if (!member) return { unread: 0, mentions: 0, muted: false };
  const muted = member.notify_props?.mark_unread === 'mention';
  const unread = Math.max(0, channel.total_msg_count - member.msg_count);
  return { unread: muted ? 0 : unread, mentions: member.mention_count, muted };
}
