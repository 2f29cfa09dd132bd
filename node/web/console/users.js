// The partner's own accounts: roles, sessions, disabling, and new ones.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { toast } from '../app/state.js';
import { SELDOM_MS, useOrder, usePolled } from './ask.js';
import { accountProblem } from './first.js';
import { found, rolesProblem } from './people.js';
import { ROLES, counted, plain, when } from './words.js';
import { Dialog, Head, Part, Problem, Tone } from './parts.js';

/** All accounts are asked for at once: a partner has some thousands at most, of 200 bytes each. */
const LIST = '/api/comity/v1/users?page=-1';
/** How often: other administrators change accounts, and nobody else. */
const LIST_MS = 60_000;
/** Accounts that are shown; more are found by their name. */
const SHOWN = 200;

/** The page about users. @param {{own: any, me: any}} props */
export function Users({ own, me }) {
  const told = usePolled(LIST, LIST_MS);
  const [term, setTerm] = useState('');
  const [sheet, setSheet] = useState(/** @type {any} */ (null));
  const all = /** @type {any[] | null} */ (told.data);
  const matching = found(/** @type {any[]} */ (all ?? []), term);
  const close = () => {
    setSheet(null);
    void told.reload();
  };
  return html`<${Head} title="Users" atMs=${told.atMs} error=${told.error}>
      ${own.may.includes('issue_credentials') && html`<button class="button primary" data-test="add-user" onClick=${() => setSheet({ kind: 'new' })}>New account…</button>`}
    <//>
    <${Part} title=${all ? counted(matching.length, 'account') : 'Accounts'}>
      <label class="field search"><span>Find by name, role or address</span><input type="search" value=${term} onInput=${(/** @type {any} */ event) => setTerm(event.currentTarget.value)} autocomplete="off" /></label>
      ${all && html`<div class="scrolls" tabindex="0" role="region" aria-label="Accounts"><table class="table stacks">
        <thead><tr><th scope="col">User</th><th scope="col">State</th><th scope="col">Roles</th><th scope="col">Known by</th><th scope="col">Sessions</th><th scope="col"><span class="unseen">Orders</span></th></tr></thead>
        <tbody>${matching.slice(0, SHOWN).map((user) => html`<${Row} key=${user.id} user=${user} isSelf=${user.id === me?.id} may=${own.may} open=${(/** @type {string} */ kind) => setSheet({ kind, user })} />`)}</tbody>
      </table></div>
      ${matching.length > SHOWN && html`<p class="hint">The first ${SHOWN} are shown: narrow them down.</p>`}`}
    <//>
    ${sheet?.kind === 'roles' && html`<${RolesDialog} user=${sheet.user} onClose=${close} />`}
    ${sheet?.kind === 'active' && html`<${ActiveDialog} user=${sheet.user} onClose=${close} />`}
    ${sheet?.kind === 'sessions' && html`<${SessionsDialog} user=${sheet.user} onClose=${close} />`}
    ${sheet?.kind === 'new' && html`<${NewDialog} onClose=${close} />`}`;
}

/** @param {{user: any, isSelf: boolean, may: string[], open: (kind: string) => void}} props */
function Row({ user, isSelf, may, open }) {
  const name = [user.first_name, user.last_name].filter(Boolean).join(' ');
  return html`<tr data-test="user-row" data-user=${user.username}>
    <th scope="row" data-label="User"><bdi>${user.username}</bdi>${isSelf ? ' (you)' : ''}<div class="hint" dir="auto">${name}${name && user.email ? ' · ' : ''}${user.email}</div></th>
    <td data-label="State"><${Tone} tone=${user.active ? 'good' : 'plain'} word=${user.active ? 'active' : 'disabled'} /></td>
    <td data-label="Roles">${user.roles.map(plain).join(', ') || 'none'}</td>
    <td data-label="Known by">${user.bot_of ? 'a program' : user.source === 'local' ? 'a password here' : user.source}</td>
    <td data-label="Sessions"><button class="button" data-test="user-sessions" onClick=${() => open('sessions')} aria-label=${`Sessions of ${user.username}: ${user.sessions}`}>${user.sessions}</button></td>
    <td class="orders">${!isSelf && may.includes('grant_roles') && html`<button class="button" data-test="user-roles" onClick=${() => open('roles')}>Roles…</button>`}
      ${!isSelf && html`<button class=${`button ${user.active ? 'danger' : ''}`} data-test="user-active" onClick=${() => open('active')}>${user.active ? 'Disable…' : 'Enable…'}</button>`}</td>
  </tr>`;
}

/** @param {{user: any, onClose: () => void}} props */
function RolesDialog({ user, onClose }) {
  const [roles, setRoles] = useState(/** @type {string[]} */ (user.roles));
  const order = useOrder();
  const problem = rolesProblem(roles);
  const toggle = (/** @type {string} */ role) => setRoles(roles.includes(role) ? roles.filter((/** @type {string} */ it) => it !== role) : [...roles, role]);
  const save = async () => {
    if (await order.run(() => api.put(`/api/comity/v1/users/${user.id}/roles`, { roles }))) {
      toast(`The roles of ${user.username} are set.`);
      onClose();
    }
  };
  return html`<${Dialog} title=${`Roles of ${user.username}`} test="roles-sheet" onClose=${onClose}>
    <fieldset class="choices"><legend class="unseen">Roles</legend>
      ${Object.entries(ROLES).filter(([role]) => role !== 'bot' || user.bot_of).map(([role, what], at) => html`<label key=${role} class="choice"><input type="checkbox" name=${role} checked=${roles.includes(role)} data-first=${at === 0 ? true : undefined} onChange=${() => toggle(role)} /><span><strong>${plain(role)}</strong><span class="hint">${what}</span></span></label>`)}
    </fieldset>
    <${Problem} text=${problem || order.error} />
    <div class="row"><button class="button primary" data-test="roles-go" disabled=${Boolean(problem) || order.busy} onClick=${save}>Set roles</button><button class="button" onClick=${onClose}>Cancel</button></div>
  <//>`;
}

/** @param {{user: any, onClose: () => void}} props */
function ActiveDialog({ user, onClose }) {
  const order = useOrder();
  const go = async () => {
    if (await order.run(() => api.put(`/api/v4/users/${user.id}/active`, { active: !user.active }))) {
      toast(`${user.username} is ${user.active ? 'disabled' : 'enabled'}.`);
      onClose();
    }
  };
  const tells = user.active
    ? ['all sessions, access tokens and sockets end at once', 'bots that the user made are disabled too', 'what the user wrote stays, and so does the name: it is never given to somebody else']
    : ['the user can log in again', 'bots that were disabled with the user stay so'];
  return html`<${Dialog} title=${`${user.active ? 'Disable' : 'Enable'} ${user.username}`} test="active-sheet" onClose=${onClose}>
    <ul class="consequences">${tells.map((text) => html`<li key=${text}>${text}</li>`)}</ul>
    <${Problem} text=${order.error} />
    <div class="row"><button class=${`button ${user.active ? 'danger' : 'primary'}`} data-test="active-go" disabled=${order.busy} onClick=${go}>${user.active ? 'Disable' : 'Enable'}</button><button class="button" data-first onClick=${onClose}>Cancel</button></div>
  <//>`;
}

/** @param {{user: any, onClose: () => void}} props */
function SessionsDialog({ user, onClose }) {
  const path = `/api/v4/users/${user.id}/sessions`;
  const told = usePolled(path, SELDOM_MS);
  const order = useOrder();
  const sessions = /** @type {any[] | null} */ (told.data);
  const end = (/** @type {string} */ how, /** @type {any} */ body) => order.run(async () => {
    await api.post(`${path}/${how}`, body);
    await told.reload();
  });
  return html`<${Dialog} title=${`Sessions of ${user.username}`} test="sessions-sheet" onClose=${onClose}>
    <${Problem} text=${told.error || order.error} />
    ${sessions?.length === 0 && html`<p class="hint">No device is logged in.</p>`}
    <ul class="plain cards">${sessions?.map((it) => html`<li class="card spread" key=${it.id}>
      <span><strong dir="auto">${it.props?.comity_device || it.props?.browser || 'A device'}</strong><span class="hint">since ${when(it.create_at)}, used ${when(it.last_activity_at)}${it.props?.comity_address ? ` from ${it.props.comity_address}` : ''}</span></span>
      <button class="button" disabled=${order.busy} onClick=${() => void end('revoke', { session_id: it.id })}>End</button>
    </li>`)}</ul>
    <p class="hint">Ending all also ends the user’s access tokens.</p>
    <div class="row"><button class="button danger" data-test="end-sessions" disabled=${order.busy} onClick=${() => void end('revoke/all', {})}>End all</button><button class="button" data-first onClick=${onClose}>Close</button></div>
  <//>`;
}

/** @param {{onClose: () => void}} props */
function NewDialog({ onClose }) {
  const order = useOrder();
  const [problem, setProblem] = useState('');
  const make = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const text = (/** @type {string} */ name) => String(data.get(name) ?? '').trim();
    const password = String(data.get('password') ?? '');
    const wrong = accountProblem({ username: text('username'), password, again: password });
    setProblem(wrong);
    if (wrong) return;
    void order.run(async () => {
      await api.post('/api/v4/users', { username: text('username'), email: text('email'), first_name: text('first_name'), last_name: text('last_name'), password });
      toast(`${text('username')} has an account: a guest’s, until you give it roles.`);
      onClose();
    });
  };
  return html`<${Dialog} title="New account" test="new-user" onClose=${onClose}>
    <form onSubmit=${make}>
      <label class="field"><span>User name</span><input name="username" required data-first autocomplete="off" autocapitalize="none" spellcheck=${false} /></label>
      <div class="two"><label class="field"><span>First name</span><input name="first_name" dir="auto" autocomplete="off" /></label><label class="field"><span>Last name</span><input name="last_name" dir="auto" autocomplete="off" /></label></div>
      <label class="field"><span>Mail address</span><input name="email" autocomplete="off" inputmode="email" /></label>
      <label class="field"><span>First password</span><input name="password" type="password" required autocomplete="new-password" aria-describedby="password-hint" /><span class="hint" id="password-hint">Hand it over in person; the user changes it after the first log-in.</span></label>
      <${Problem} text=${problem || order.error} />
      <div class="row"><button class="button primary" type="submit" disabled=${order.busy}>Make the account</button><button class="button" type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}
