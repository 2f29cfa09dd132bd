// One's own: presence, status, looks, notifications, sessions, data, leaving.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { store, toast, toastError, useStore } from '../state.js';
import { logOut } from '../session.js';
import { discard } from '../sending.js';
import { notifyState, switchNotify } from '../notify.js';
import { displayName } from '../people.js';
import { safeName } from '../text.js';
import { Avatar, Badge, customStatus } from './names.js';
import { Sheet } from './sheet.js';
import { moment } from './util.js';

/** @param {string} key @param {string} value */
function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    toast('This browser keeps no settings: they hold until the page is closed.', { bad: true });
  }
}

function Presence() {
  const me = useStore((state) => state.me);
  const status = useStore((state) => state.statuses[state.me?.id ?? ''] ?? 'online');
  const held = customStatus(me ?? undefined);
  const [text, setText] = useState(held?.text ?? '');
  const choose = async (/** @type {string} */ next) => {
    try {
      await api.put('/api/v4/users/me/status', { user_id: me?.id, status: next });
      store.set((state) => ({ statuses: { ...state.statuses, [me?.id ?? '']: next } }));
    } catch (error) {
      toastError(error);
    }
  };
  const save = async (/** @type {string} */ next) => {
    try {
      if (next) await api.put('/api/v4/users/me/status/custom', { emoji: 'speech_balloon', text: next });
      else await api.del('/api/v4/users/me/status/custom');
      setText(next);
      toast(next ? 'Status set: this partner’s users see it.' : 'Status cleared.');
    } catch (error) {
      toastError(error);
    }
  };
  const kinds = [['online', 'Online'], ['away', 'Away'], ['dnd', 'Do not disturb'], ['offline', 'Offline']];
  return html`<section><h3>Presence</h3>
    <div class="row" role="group" aria-label="Presence">${kinds.map(([key, label]) => html`<button key=${key} class="button choice" aria-pressed=${status === key} onClick=${() => choose(key)}>${label}</button>`)}</div>
    <form class="row status-form" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void save(text.trim()))}><input class="grow" dir="auto" maxlength="100" aria-label="Custom status" placeholder="What are you doing?" value=${text} onInput=${(/** @type {any} */ event) => setText(event.currentTarget.value)} /><button class="button" type="submit">Set</button>${held && html`<button class="button" type="button" onClick=${() => save('')}>Clear</button>`}</form></section>`;
}

function Looks() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? 'auto');
  const [dir, setDir] = useState(document.documentElement.dir || 'ltr');
  const choose = (/** @type {string} */ next) => {
    setTheme(next);
    if (next === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    remember('comity.theme', next);
  };
  const turn = (/** @type {string} */ next) => {
    setDir(next);
    document.documentElement.dir = next;
    remember('comity.direction', next);
  };
  return html`<section><h3>Looks</h3><div class="row" role="group" aria-label="Theme">${[['auto', 'As the system'], ['light', 'Light'], ['dark', 'Dark']].map(([key, label]) => html`<button key=${key} class="button choice" aria-pressed=${theme === key} onClick=${() => choose(key)}>${label}</button>`)}</div>
    <div class="row" role="group" aria-label="Direction">${[['ltr', 'Left to right'], ['rtl', 'Right to left']].map(([key, label]) => html`<button key=${key} class="button choice" aria-pressed=${dir === key} onClick=${() => turn(key)}>${label}</button>`)}</div></section>`;
}

function Notifications() {
  const [state, setState] = useState(notifyState());
  const words = /** @type {Record<string, string>} */ ({ on: 'On, for mentions and direct messages.', off: 'Off.', denied: 'The browser refuses them for this page: allow them in its settings for this address.', unsupported: 'This browser has none, or the page is not served over https.' });
  return html`<section><h3>Notifications</h3><p class="hint">${words[state]}</p>${(state === 'on' || state === 'off') && html`<button class="button" onClick=${async () => setState(await switchNotify(state !== 'on'))}>${state === 'on' ? 'Switch off' : 'Switch on'}</button>`}</section>`;
}

function Sessions() {
  const [list, setList] = useState(/** @type {any[] | null} */ (null));
  const load = () => api.get('/api/v4/users/me/sessions').then(setList, (error) => toastError(error));
  useEffect(() => void load(), []);
  const end = async (/** @type {string} */ id) => {
    try {
      await api.post('/api/v4/users/me/sessions/revoke', { session_id: id });
      await load();
    } catch (error) {
      toastError(error);
    }
  };
  return html`<section><h3>Where you are logged in</h3>${!list ? html`<p class="hint">Asking…</p>` : html`<ul class="plain sessions">${list.map((it) => html`<li key=${it.id} class="spread"><span class="grow"><bdi>${safeName([it.props?.browser, it.props?.os].filter(Boolean).join(', ') || it.props?.comity_device || 'A program')}</bdi><br /><span class="hint">${it.props?.comity_address ? html`<bdi>${it.props.comity_address}</bdi> · ` : ''}last used ${moment(it.last_activity_at)}</span></span><button class="button" onClick=${() => end(it.id)}>End</button></li>`)}</ul>`}</section>`;
}

/** The sheet. */
export function SettingsSheet() {
  const me = useStore((state) => state.me);
  const own = useStore((state) => state.partner);
  const waiting = useStore((state) => state.outbox);
  const leave = () => {
    if (waiting.length === 0) {
      store.set({ sheet: null });
      void logOut();
      return;
    }
    store.set({ sheet: { kind: 'confirm', title: 'Log out with messages unsent?', text: `${waiting.length} ${waiting.length === 1 ? 'message was' : 'messages were'} not sent yet. Logging out discards them from this browser.`, verb: 'Discard and log out', danger: true, run: async () => {
      waiting.forEach((it) => discard(it.id));
      await logOut();
    } } });
  };
  return html`<${Sheet} title="Settings" test="settings-sheet"><div class="settings">
    <div class="person"><${Avatar} user=${me} /><div class="grow"><p><bdi><strong>${safeName(displayName(me ?? undefined))}</strong></bdi> <${Badge} partner=${own} /></p><p class="hint"><bdi>@${me?.username}</bdi> here, <bdi>@${me?.username}:${own}</bdi> for the other partners</p></div></div>
    <${Presence} /><${Looks} /><${Notifications} /><${Sessions} />
    <section><h3>Your data</h3><p class="hint">What this node holds of you, as lines of JSON.</p><a class="button" data-test="export" href="/api/comity/v1/users/me/export" download="comity-export.ndjson">Export</a></section>
    <div class="row sheet-foot"><button class="button danger" data-test="log-out" onClick=${leave}>Log out</button></div>
  </div><//>`;
}
