// Who is here: entering, leaving, and coming back to the same place.
import { api, ApiError, cookie } from './api.js';
import { forgetUser, navigate, store } from './state.js';
import { loadChat, leaveChat } from './chat.js';

/** Loads what the first view needs; without a session it shows the login. */
export async function enter() {
  if (!cookie('MMUSERID')) {
    signedOut();
    return;
  }
  // The screen that follows is loaded while the node is asked.
  void import('./views/chat.js').catch(() => undefined);
  try {
    const [me, config] = await Promise.all([api.get('/api/v4/users/me'), api.get('/api/v4/config/client?format=old')]);
    store.set({ me, config, partner: (config.SiteName ?? '').replace(/^Comity: /, ''), users: { [me.id]: me } });
    await loadChat();
    if (store.get().route.name === 'home') await toConsole();
    store.set({ phase: 'ready' });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return;
    store.set({ phase: 'failed', failure: error instanceof Error ? error.message : String(error) });
  }
}

/** Whoever is in no channel and sees to the node is led to what there is to see. */
async function toConsole() {
  if (Object.keys(store.get().channels).length > 0) return;
  const rights = await api.get('/api/comity/v1/console').catch(() => null);
  if (rights?.may?.some((/** @type {string} */ it) => it === 'see_node' || it === 'read_audit' || it === 'manage_accounts')) navigate('/console', { replace: true });
}

/** The session is over: shows the login, and remembers where to come back to. */
export function signedOut() {
  const { route, phase } = store.get();
  if (phase === 'login') return;
  leaveChat();
  forgetUser();
  if (route.name !== 'login') {
    const back = route.name === 'home' ? '' : `?redirect_to=${encodeURIComponent(route.path)}`;
    navigate(`/login${back}`, { replace: true });
  }
}

/**
 * Logs in by name and password, and with the second factor's code where one is asked for.
 * @param {string} name
 * @param {string} password
 * @param {string} token
 */
export async function logIn(name, password, token) {
  await api.post('/api/v4/users/login', { login_id: name, password, token });
  store.set({ phase: 'starting' });
  await enter();
}

/** Ends the session here and at the node. */
export async function logOut() {
  leaveChat();
  await api.post('/api/v4/users/logout').catch(() => undefined);
  signedOut();
}
