// What the chat knows of the node: loaded at first, kept by events, asked again where something was missed.
import { api, setConnection } from './api.js';
import { store, toast } from './state.js';
import { openSocket } from './socket.js';
import { dropFeeds, refreshFeeds } from './feeds.js';
import { learnUsers, otherOf, wantStatuses, wantUser } from './people.js';
import { closeOutbox, hurry, openOutbox } from './sending.js';
import { dropDelivery, nudgeDelivery } from './delivery.js';
import { loadDrafts } from './drafts.js';
import { onEvent } from './events.js';

/** @type {ReturnType<typeof openSocket> | null} */
let socket = null;

/** @param {any[]} list @param {string} key */
const by = (list, key) => Object.fromEntries(list.map((it) => [it[key], it]));

/** Loads channels and marks: at the start, and after something was missed. */
export async function loadChannels() {
  const [teams, channels, members] = await Promise.all([
    api.get('/api/v4/users/me/teams'),
    api.get('/api/v4/users/me/channels'),
    api.get('/api/v4/users/me/channel_members?page=-1'),
  ]);
  store.set({ teams, channels: by(channels, 'id'), members: by(members, 'channel_id') });
  const me = store.get().me?.id ?? '';
  const direct = channels.filter((/** @type {any} */ it) => it.type === 'D').map((/** @type {any} */ it) => otherOf(it, me));
  direct.forEach(wantUser);
  wantStatuses([...direct, me], true);
}

/** Loads what may come a moment later than the first view. */
async function loadRest() {
  const { teams } = store.get();
  const [preferences, partners, ...categories] = await Promise.all([
    api.get('/api/v4/users/me/preferences').catch(() => []),
    api.get('/api/comity/v1/partners').catch(() => []),
    ...teams.map((team) => api.get(`/api/v4/users/me/teams/${team.id}/channels/categories`).catch(() => ({ categories: [] }))),
  ]);
  store.set({
    preferences: Object.fromEntries(preferences.map((/** @type {any} */ it) => [`${it.category}/${it.name}`, it.value])),
    partners: by(partners, 'partner'),
    categories: Object.fromEntries(teams.map((team, at) => [team.id, categories[at].categories ?? []])),
  });
  await loadDrafts();
}

/** Loads the chat and begins to listen. */
export async function loadChat() {
  const me = store.get().me;
  // Whoever only administers is in no channel, and still has the console.
  await loadChannels();
  if (me) learnUsers([me]);
  openOutbox();
  socket = openSocket({
    onEvent,
    onAnew: refresh,
    onConnection: setConnection,
    onState(state, retryMs) {
      const before = store.get().connection;
      const since = state === 'open' ? 0 : before.since || Date.now();
      store.set({ connection: { state, retryMs, since } });
      if (state === 'open' && before.state !== 'open') hurry();
    },
    // The node may have ended the session: any question tells.
    onRefused: () => void api.get('/api/v4/users/me').catch(() => undefined),
  });
  loadRest().catch(() => undefined);
  startTicking();
}

/** Asks again for all that may have changed while nobody listened. */
export async function refresh() {
  try {
    await loadChannels();
    await Promise.all([refreshFeeds(), loadRest()]);
    store.set({ readers: {} });
    nudgeDelivery();
  } catch {
    toast('What changed meanwhile could not be loaded. Load the page again if something is missing.', { bad: true });
  }
}

/** @type {any} */
let ticking = null;
/** How often who types and which partners are linked is looked at anew. */
const TICK_MS = 2_000;
const PARTNERS_EVERY = 10;

function startTicking() {
  let count = 0;
  clearInterval(ticking);
  ticking = setInterval(() => {
    const now = Date.now();
    const { typing } = store.get();
    const left = Object.entries(typing).map(([id, list]) => /** @type {const} */ ([id, list.filter((it) => it.untilMs > now)]));
    if (left.some(([id, list]) => list.length !== typing[id].length)) store.set({ typing: Object.fromEntries(left.filter(([, list]) => list.length > 0)) });
    count += 1;
    if (count % PARTNERS_EVERY === 0 && document.visibilityState === 'visible' && store.get().connection.state === 'open') {
      api.get('/api/comity/v1/partners').then((partners) => {
        if (JSON.stringify(Object.values(store.get().partners).map(({ connected, behind_events, state }) => [connected, behind_events, state])) !== JSON.stringify(partners.map((/** @type {any} */ it) => [it.connected, it.behind_events, it.state]))) {
          store.set({ partners: by(partners, 'partner') });
          nudgeDelivery();
        }
      }, () => undefined);
    }
  }, TICK_MS);
}

/** Ends what the chat keeps open. */
export function leaveChat() {
  socket?.close();
  socket = null;
  clearInterval(ticking);
  setConnection('');
  closeOutbox();
  dropFeeds();
  dropDelivery();
}

/** Tries the connection at once. */
export function reconnect() {
  socket?.reconnect();
}

/** Typing is told at most so often. */
const TYPING_MS = 5_000;
let typedMs = 0;

/**
 * Says that somebody types; those who would not receive it are not told.
 * @param {string} channelId
 * @param {string} rootId
 * @param {boolean} narrowed
 */
export function sayTyping(channelId, rootId, narrowed) {
  const now = Date.now();
  if (now - typedMs < TYPING_MS) return;
  typedMs = now;
  socket?.send('user_typing', { channel_id: channelId, parent_id: rootId, comity_narrowed: narrowed });
}
