// The first accounts of a node: made once, by whoever can read the link in the node's directory.
import { html } from '../vendor/html.js';
import { useEffect, useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { ROOT, useOrder } from './ask.js';
import { pasted, problem, tokenOf } from './first.js';
import { Badge, Problem } from './parts.js';
import { when } from './words.js';

/** The page of the first start. */
export function Setup() {
  const [told, setTold] = useState(/** @type {any} */ (null));
  const [error, setError] = useState('');
  const [token, setToken] = useState(tokenOf(location.hash));
  const [made, setMade] = useState(/** @type {string[] | null} */ (null));
  useEffect(() => {
    document.title = 'Set up · Comity';
    // The token is good once: it does not stay in the history.
    if (location.hash) history.replaceState(null, '', location.pathname);
    api.get(`${ROOT}/setup`).then(setTold, (it) => setError(it.message));
  }, []);
  return html`<main class="sign-in" data-test="setup"><div class="sign-in-card setup-card">
    <h1>Set up ${told ? html`<${Badge} partner=${told.partner} />` : 'this node'}</h1>
    <${Problem} text=${error} />
    ${made ? html`<${Done} names=${made} />` : told && !told.open ? html`<${Closed} />` : told && html`<${Form} untilMs=${told.until_ms} token=${token} setToken=${setToken} onMade=${setMade} />`}
  </div></main>`;
}

function Closed() {
  return html`<p>This node has its first accounts, or its link has ended.</p>
    <p class="hint">If nobody has an account yet, start the node again: it writes another link into <code>setup.token</code> in its directory. <code>comity user add</code> makes accounts, too.</p>
    <a class="button" href="/login" target="_self">Log in</a>`;
}

/** @param {{names: string[]}} props */
function Done({ names }) {
  return html`<div role="status" data-test="setup-done"><p>There are accounts for <bdi>${names.join(', ')}</bdi>. The link is used up.</p>
    <p class="hint">The security officer makes all other accounts, under Users in the console, and gives them roles.</p>
    <a class="button primary" href="/login?redirect_to=%2Fconsole" target="_self">Log in</a></div>`;
}

/** @param {{untilMs: number | null, token: string, setToken: (token: string) => void, onMade: (names: string[]) => void}} props */
function Form({ untilMs, token, setToken, onMade }) {
  const [withAdmin, setWithAdmin] = useState(true);
  const [wrong, setWrong] = useState('');
  const order = useOrder();
  const submit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    const text = (/** @type {string} */ name) => String(data.get(name) ?? '');
    const account = (/** @type {string} */ who) => ({ username: text(`${who}-name`).trim().toLowerCase(), password: text(`${who}-password`), again: text(`${who}-again`) });
    const officer = account('officer');
    const admin = withAdmin ? account('admin') : null;
    const found = token ? problem(officer, admin) : 'Paste the link, or the token in it: it stands in the file setup.token in the node’s directory.';
    setWrong(found);
    if (found) return;
    const sent = (/** @type {{username: string, password: string}} */ it) => ({ username: it.username, password: it.password });
    void order.run(async () => {
      const made = await api.post(`${ROOT}/setup`, { token, officer: sent(officer), admin: admin && sent(admin) });
      onMade(made.accounts);
    });
  };
  return html`<form onSubmit=${submit} novalidate>
    <p class="hint">Nobody has an account here yet. The link is good once${untilMs ? `, until ${when(untilMs)}` : ''}.</p>
    ${!token && html`<label class="field"><span>Link or token</span><input name="token" autocomplete="off" spellcheck=${false} onInput=${(/** @type {any} */ event) => setToken(pasted(event.currentTarget.value))} aria-describedby="token-place" /><span class="hint" id="token-place">In the file <code>setup.token</code> of the node’s directory.</span></label>`}
    <${Person} who="officer" title="Security officer" what="Says who has which role, approves partners, reads the audit record. Reads no message by that." />
    <label class="choice"><input type="checkbox" name="with-admin" checked=${withAdmin} onChange=${() => setWithAdmin(!withAdmin)} /><span>Also make a node admin<span class="hint">Sees to links and accounts. Another person: whoever carries the files of partners does not approve them.</span></span></label>
    ${withAdmin && html`<${Person} who="admin" title="Node admin" what="" />`}
    <${Problem} text=${wrong || order.error} />
    <button class="button primary" type="submit" disabled=${order.busy}>${order.busy ? 'Making accounts…' : 'Make the accounts'}</button>
  </form>`;
}

/** @param {{who: string, title: string, what: string}} props */
function Person({ who, title, what }) {
  return html`<fieldset class="person"><legend>${title}</legend>
    ${what && html`<p class="hint">${what}</p>`}
    <label class="field"><span>User name</span><input name=${`${who}-name`} autocomplete="off" autocapitalize="none" spellcheck=${false} required /></label>
    <div class="two">
      <label class="field"><span>Password</span><input name=${`${who}-password`} type="password" autocomplete="new-password" required /></label>
      <label class="field"><span>Again</span><input name=${`${who}-again`} type="password" autocomplete="new-password" required /></label>
    </div>
  </fieldset>`;
}
