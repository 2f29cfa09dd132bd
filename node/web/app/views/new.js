// Beginning something: a message to people, a channel, joining one.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { store, toastError, useStore } from '../state.js';
import { displayName, learnUsers, partnerOf } from '../people.js';
import { safeName } from '../text.js';
import { GROUP_MOST, joinChannel, makeChannel, writeTo } from '../opening.js';
import { Avatar, Badge } from './names.js';
import { Sheet } from './sheet.js';
import { Icon } from './util.js';

/** How long nobody types before the node is asked. */
const QUIET_MS = 150;
const SHOWN_MOST = 40;

/**
 * People to choose from.
 * @param {{most: number, own?: boolean, verb: string, onDone: (ids: string[]) => void}} props
 */
export function PeoplePicker({ most, own: ownOnly = false, verb, onDone }) {
  const [term, setTerm] = useState('');
  const [found, setFound] = useState(/** @type {import('../types.js').User[]} */ ([]));
  const [chosen, setChosen] = useState(/** @type {import('../types.js').User[]} */ ([]));
  const own = useStore((state) => state.partner);
  const me = useStore((state) => state.me?.id);
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      api.post('/api/v4/users/search', { term, limit: 100 }).then((users) => {
        if (gone) return;
        learnUsers(users);
        setFound(users.filter((/** @type {any} */ it) => !it.delete_at && (!ownOnly || !it.username.includes(':'))));
      }, (error) => !gone && toastError(error));
    }, QUIET_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [term]);
  const toggle = (/** @type {import('../types.js').User} */ user) => setChosen((all) => (all.some((it) => it.id === user.id) ? all.filter((it) => it.id !== user.id) : all.length < most ? [...all, user] : all));
  const isChosen = (/** @type {string} */ id) => chosen.some((it) => it.id === id);
  return html`<div class="picker">
    <input type="search" data-first placeholder="Search people" aria-label="Search people" value=${term} onInput=${(/** @type {any} */ event) => setTerm(event.currentTarget.value)} />
    ${chosen.length > 0 && html`<div class="row chosen">${chosen.map((it) => html`<button key=${it.id} class="chip" aria-label=${`Take ${it.username} off`} onClick=${() => toggle(it)}><bdi>${safeName(it.username)}</bdi> ✕</button>`)}<button class="button primary" onClick=${() => onDone(chosen.map((it) => it.id))}>${verb}</button></div>`}
    <ul class="plain people">${found.slice(0, SHOWN_MOST).map((it) => html`<li key=${it.id}><button class="person-row" aria-pressed=${isChosen(it.id)} onClick=${() => toggle(it)}><${Avatar} user=${it} small /><span class="grow"><bdi>${safeName(displayName(it))}</bdi>${it.id === me ? ' (you)' : ''} <bdi class="handle">@${safeName(it.username)}</bdi> <${Badge} partner=${partnerOf(it, own)} /></span>${isChosen(it.id) && html`<${Icon} name="check" />`}</button></li>`)}</ul>
    ${chosen.length >= most && html`<p class="hint" role="status">More than ${most} people do not fit.</p>`}
  </div>`;
}

function Browse() {
  const teams = useStore((state) => state.teams);
  const mine = useStore((state) => state.channels);
  const [all, setAll] = useState(/** @type {import('../types.js').Channel[] | null} */ (null));
  const [term, setTerm] = useState('');
  useEffect(() => {
    Promise.all(teams.map((team) => api.get(`/api/v4/teams/${team.id}/channels?per_page=200`))).then((lists) => setAll(lists.flat()), (error) => toastError(error));
  }, []);
  const shown = (all ?? []).filter((it) => it.display_name.toLowerCase().includes(term.toLowerCase()));
  return html`<input type="search" data-first placeholder="Search channels" aria-label="Search channels" value=${term} onInput=${(/** @type {any} */ event) => setTerm(event.currentTarget.value)} />
    <ul class="plain people">${shown.slice(0, SHOWN_MOST).map((it) => html`<li key=${it.id} class="person-row"><${Icon} name=${it.shared ? 'share' : 'hash'} /><span class="grow"><bdi>${safeName(it.display_name)}</bdi> <span class="hint">${it.header}</span></span>${mine[it.id] ? html`<a class="button" href=${`/channel/${it.id}`} onClick=${() => store.set({ sheet: null })}>Open</a>` : html`<button class="button" onClick=${() => joinChannel(it)}>Join</button>`}</li>`)}</ul>
    ${all && shown.length === 0 && html`<p class="hint" role="status">No channel of that name.</p>`}`;
}

function Make() {
  const own = useStore((state) => state.partner);
  const [error, setError] = useState('');
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    try {
      await makeChannel(String(data.get('name')).trim(), data.get('private') === 'on');
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    }
  };
  return html`<form onSubmit=${submit}><p class="hint">A channel begins at <bdi>${own}</bdi> alone. A release authority shares it with other partners.</p>
    <label class="field"><span>Name</span><input name="name" data-first required maxlength="64" pattern="[A-Za-z0-9_\\-]+" title="Letters, digits, - and _" autocomplete="off" /></label>
    <label class="row field-check"><input type="checkbox" name="private" /> Private: only who is added is in it</label>
    ${error && html`<p class="error" role="alert">${error}</p>`}
    <div class="row sheet-foot"><button class="button primary" type="submit">Make the channel</button></div></form>`;
}

/** The sheet. */
export function NewSheet() {
  const [tab, setTab] = useState('people');
  const tabs = [['people', 'Message people'], ['browse', 'Join a channel'], ['make', 'Make a channel']];
  return html`<${Sheet} title="New"><div class="tabs" role="tablist" aria-label="What to begin">${tabs.map(([key, label]) => html`<button key=${key} role="tab" aria-selected=${tab === key} onClick=${() => setTab(key)}>${label}</button>`)}</div>
    ${tab === 'people' ? html`<p class="hint">One person, or up to ${GROUP_MOST} for a group message.</p><${PeoplePicker} most=${GROUP_MOST} verb="Write" onDone=${writeTo} />` : tab === 'browse' ? html`<${Browse} />` : html`<${Make} />`}<//>`;
}
