// What is begun and not sent: kept in this browser at once, and at the node for the other devices.
import { api } from './api.js';
import { store } from './state.js';

/** How long nobody types before the node is told. */
const QUIET_MS = 1_000;

/**
 * @typedef {{channelId: string, rootId: string, message: string, to: string[], files: import('./types.js').FileInfo[], updatedMs: number}} Draft
 */

/** @type {Map<string, any>} */
const timers = new Map();
const storageKey = () => `comity.drafts.${store.get().me?.id}`;

/** @param {string} channelId @param {string} rootId */
export const draftKey = (channelId, rootId) => rootId || channelId;

/** @param {any} told @returns {Draft} */
function fromNode(told) {
  const to = told.props?.comity_to;
  return {
    channelId: told.channel_id,
    rootId: told.root_id ?? '',
    message: told.message ?? '',
    to: Array.isArray(to) ? to.filter((/** @type {unknown} */ it) => typeof it === 'string') : [],
    files: told.metadata?.files ?? [],
    updatedMs: told.update_at ?? 0,
  };
}

/** @param {Record<string, Draft>} drafts */
function keepHere(drafts) {
  try {
    localStorage.setItem(storageKey(), JSON.stringify(drafts));
  } catch {
    // The node keeps them, too.
  }
}

/** Loads the drafts of this browser and of the node; of one that both have, the later. */
export async function loadDrafts() {
  /** @type {Record<string, Draft>} */
  let drafts = {};
  try {
    drafts = JSON.parse(localStorage.getItem(storageKey()) ?? '{}');
  } catch {
    drafts = {};
  }
  store.set({ drafts });
  const lists = await Promise.all(store.get().teams.map((team) => api.get(`/api/v4/users/me/teams/${team.id}/drafts`).catch(() => [])));
  const merged = { ...store.get().drafts };
  for (const told of lists.flat()) {
    const draft = fromNode(told);
    const key = draftKey(draft.channelId, draft.rootId);
    if (!merged[key] || merged[key].updatedMs < draft.updatedMs) merged[key] = draft;
  }
  store.set({ drafts: merged });
}

/**
 * Keeps what is being written; nothing written and nothing attached drops it.
 * @param {string} channelId
 * @param {string} rootId
 * @param {Partial<Draft>} patch
 */
export function keepDraft(channelId, rootId, patch) {
  const key = draftKey(channelId, rootId);
  const before = store.get().drafts[key];
  /** @type {Draft} */
  const draft = { channelId, rootId, message: '', to: [], files: [], ...before, ...patch, updatedMs: Date.now() };
  const drafts = { ...store.get().drafts, [key]: draft };
  if (!draft.message && draft.files.length === 0 && draft.to.length === 0) delete drafts[key];
  store.set({ drafts });
  keepHere(drafts);
  clearTimeout(timers.get(key));
  timers.set(key, setTimeout(() => tell(key, channelId, rootId), QUIET_MS));
}

/** @param {string} key @param {string} channelId @param {string} rootId */
async function tell(key, channelId, rootId) {
  timers.delete(key);
  const draft = store.get().drafts[key];
  try {
    if (draft && (draft.message || draft.files.length > 0)) {
      await api.post('/api/v4/drafts', {
        channel_id: channelId,
        root_id: rootId,
        message: draft.message,
        file_ids: draft.files.map((/** @type {import('./types.js').FileInfo} */ it) => it.id),
        props: draft.to.length > 0 ? { comity_to: draft.to } : {},
      });
    } else {
      await api.del(`/api/v4/users/me/channels/${channelId}/drafts${rootId ? `/${rootId}` : ''}`);
    }
  } catch {
    // It is kept here, and told with the next change.
  }
}

/** @param {any} told a draft as an event bears it @param {boolean} gone */
export function takeDraft(told, gone) {
  const draft = fromNode(told);
  const key = draftKey(draft.channelId, draft.rootId);
  if (timers.has(key)) return;
  const drafts = { ...store.get().drafts, [key]: draft };
  if (gone) delete drafts[key];
  store.set({ drafts });
  keepHere(drafts);
}
