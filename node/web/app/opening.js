// Opening channels: between people, or one that somebody may join.
import { api } from './api.js';
import { navigate, store, toastError } from './state.js';

/** People of a group message beside oneself: the node takes three to eight with oneself. */
export const GROUP_MOST = 7;

/** @param {import('./types.js').Channel} channel */
async function enterChannel(channel) {
  const member = await api.get(`/api/v4/channels/${channel.id}/members/me`).catch(() => null);
  store.set((state) => ({
    channels: { ...state.channels, [channel.id]: channel },
    ...(member && { members: { ...state.members, [channel.id]: member } }),
    sheet: null,
  }));
  navigate(`/channel/${channel.id}`);
}

/**
 * Opens the channel with one person, or with several.
 * @param {string[]} ids
 */
export async function writeTo(ids) {
  const me = store.get().me?.id ?? '';
  try {
    const others = ids.filter((id) => id !== me);
    const channel = others.length <= 1 ? await api.post('/api/v4/channels/direct', [me, others[0] ?? me]) : await api.post('/api/v4/channels/group', [me, ...others]);
    await enterChannel(channel);
  } catch (error) {
    toastError(error, 'Not opened');
  }
}

/**
 * Goes into a channel that one may join.
 * @param {import('./types.js').Channel} channel
 */
export async function joinChannel(channel) {
  try {
    await api.post(`/api/v4/channels/${channel.id}/members`, { user_id: store.get().me?.id });
    await enterChannel(channel);
  } catch (error) {
    toastError(error, 'Not joined');
  }
}

/**
 * Makes a channel of this partner.
 * @param {string} name
 * @param {boolean} isPrivate
 */
export async function makeChannel(name, isPrivate) {
  const { teams, partner } = store.get();
  const team = teams.find((it) => it.name === partner) ?? teams[0];
  const channel = await api.post('/api/v4/channels', { team_id: team?.id, name, display_name: name, type: isPrivate ? 'P' : 'O' });
  await enterChannel(channel);
}
