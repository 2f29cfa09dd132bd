// Who is who: users are asked for when a name is needed, many at once.
import { api } from './api.js';
import { store } from './state.js';

/** How long names are gathered before they are asked for; and how many at a time the node names. */
const GATHER_MS = 40;
const AT_ONCE = 100;

/** @type {Set<string>} */
const wanted = new Set();
/** Ids that the node did not name: they are not asked for again until the page is loaded anew. */
const unknown = new Set();
/** @type {any} */
let timer = null;

/**
 * Sees to it that a user is known soon.
 * @param {string} id
 */
export function wantUser(id) {
  if (!id || store.get().users[id] || unknown.has(id) || wanted.has(id)) return;
  wanted.add(id);
  timer ??= setTimeout(ask, GATHER_MS);
}

async function ask() {
  timer = null;
  const ids = [...wanted].slice(0, AT_ONCE);
  ids.forEach((id) => wanted.delete(id));
  if (wanted.size > 0) timer = setTimeout(ask, GATHER_MS);
  try {
    const users = await api.post('/api/v4/users/ids', ids);
    learnUsers(users);
    const told = new Set(users.map((/** @type {any} */ it) => it.id));
    ids.filter((id) => !told.has(id)).forEach((id) => unknown.add(id));
  } catch {
    // The next view that needs the name asks again.
  }
}

/**
 * Takes users that some answer brought.
 * @param {import('./types.js').User[]} users
 */
export function learnUsers(users) {
  if (users.length === 0) return;
  store.set((state) => {
    const known = { ...state.users };
    for (const user of users) known[user.id] = { ...known[user.id], ...user };
    return { users: known };
  });
}

/** @type {Set<string>} */
const statusWanted = new Set();
/** @type {any} */
let statusTimer = null;

/**
 * Sees to it that it is known soon who of these is there.
 * @param {string[]} ids
 * @param {boolean} [again]
 */
export function wantStatuses(ids, again = false) {
  const { statuses } = store.get();
  ids.filter((id) => id && (again || statuses[id] === undefined)).forEach((id) => statusWanted.add(id));
  if (statusWanted.size === 0) return;
  statusTimer ??= setTimeout(async () => {
    statusTimer = null;
    const asked = [...statusWanted].slice(0, AT_ONCE);
    asked.forEach((id) => statusWanted.delete(id));
    try {
      const told = await api.post('/api/v4/users/status/ids', asked);
      store.set((state) => ({ statuses: { ...state.statuses, ...Object.fromEntries(told.map((/** @type {any} */ it) => [it.user_id, it.status])) } }));
    } catch {
      // Who is there is shown again with the next change.
    }
  }, GATHER_MS);
}

/**
 * The partner that a user is of: what stands behind the colon of its name, and for own users the node's.
 * @param {import('./types.js').User | undefined | null} user
 * @param {string} own
 */
export function partnerOf(user, own) {
  if (!user) return '';
  const at = user.username.indexOf(':');
  return at < 0 ? own : user.username.slice(at + 1);
}

/**
 * What a user is called within its partner.
 * @param {import('./types.js').User | undefined} user
 */
export function handleOf(user) {
  return user ? user.username.split(':')[0] : '';
}

/**
 * The name that is shown: the display name, or the user name.
 * @param {import('./types.js').User | undefined} user
 */
export function displayName(user) {
  if (!user) return '…';
  const full = `${user.first_name ?? ''} ${user.last_name ?? ''}`.trim();
  return full || user.nickname || handleOf(user);
}

/**
 * Whoever the other one of a direct channel is.
 * @param {import('./types.js').Channel} channel
 * @param {string} me
 */
export function otherOf(channel, me) {
  const ids = channel.name.split('__');
  return ids.find((id) => id !== me) ?? me;
}

/**
 * The name by which a user is the same at every node.
 * @param {import('./types.js').User | undefined | null} user
 * @param {string} own
 */
export function fullName(user, own) {
  return user ? `${handleOf(user)}:${partnerOf(user, own)}` : '';
}

/**
 * A colour for a name: the same wherever it is shown.
 * @param {string} name
 */
export function hueOf(name) {
  let hash = 2166136261;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 16777619);
  // The golden angle keeps names that differ little apart.
  return Math.round(((hash >>> 0) % 1000) * 137.508) % 360;
}
