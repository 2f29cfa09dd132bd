// The files that two partners exchange before their nodes know each other.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { ROOT, useOrder } from './ask.js';
import { LIFETIMES, addressesOf, fileName, fileProblem } from './peering.js';
import { Badge, Part, Problem, save } from './parts.js';
import { when } from './words.js';

/** Inviting a partner, and taking its file. @param {{own: any, onTaken: () => void}} props */
export function Exchange({ own, onTaken }) {
  if (!own.may.includes('manage_links')) {
    return html`<${Part} title="Invite a partner"><p class="hint">A node admin makes invitations and takes the files of other partners; the security officer approves the words.</p><//>`;
  }
  return html`<${Part} title="Invite a partner">
    <div class="two">
      <${Invite} own=${own} />
      <${Take} own=${own} onTaken=${onTaken} />
    </div>
  <//>`;
}

/** @param {{own: any}} props */
function Invite({ own }) {
  const order = useOrder();
  const [made, setMade] = useState(/** @type {any} */ (null));
  const invite = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    void order.run(async () => {
      const wanted = { expires_in_s: Number(data.get('lifetime')), addresses: addressesOf(String(data.get('addresses') ?? '')) };
      setMade(await api.post(`${ROOT}/peers/invitations`, wanted));
    });
  };
  return html`<form class="card" data-test="invite" onSubmit=${invite}>
    <h3>1. This partner invites</h3>
    <p class="hint">Makes a file to hand to the other partner’s administrator. It holds no secret; it is good for one reply.</p>
    <label class="field"><span>Good for</span><select name="lifetime">${LIFETIMES.map((it, at) => html`<option key=${it.seconds} value=${it.seconds} selected=${at === 2}>${it.title}</option>`)}</select></label>
    <label class="field"><span>Addresses of this node, for them</span><input name="addresses" placeholder="As configured" autocomplete="off" spellcheck=${false} aria-describedby="addresses-hint" /><span id="addresses-hint" class="hint">host:port, separated by commas</span></label>
    <${Problem} text=${order.error} />
    <button class="button primary" type="submit" disabled=${order.busy}>Make an invitation</button>
    ${made && html`<div class="result" role="status" data-test="invitation-made">
      <p>The invitation is made. It may be answered until ${when(made.expires_at_ms)}.</p>
      <button class="button" type="button" data-test="save-file" onClick=${() => save(fileName('invitation', own.partner), made.file)}>Save ${fileName('invitation', own.partner)}</button>
    </div>`}
  </form>`;
}

/** @param {{own: any, onTaken: () => void}} props */
function Take({ own, onTaken }) {
  const order = useOrder();
  const [problem, setProblem] = useState('');
  const [taken, setTaken] = useState(/** @type {any} */ (null));
  const choose = async (/** @type {any} */ event) => {
    const input = event.currentTarget;
    const file = input.files?.[0];
    if (!file) return;
    setTaken(null);
    order.clear();
    const text = file.size > 1_000_000 ? '' : await file.text();
    const wrong = fileProblem(file, text);
    setProblem(wrong);
    // The same file can be chosen again.
    input.value = '';
    if (wrong) return;
    await order.run(async () => {
      setTaken(await api.post(`${ROOT}/peers/files`, { file: text }));
      onTaken();
    });
  };
  return html`<div class="card" data-test="take-file">
    <h3>2. The other partner’s file is taken</h3>
    <p class="hint">An invitation of theirs, which is answered by a reply to carry back, or their reply to an invitation of this node.</p>
    <label class="field"><span>Invitation or reply</span><input type="file" name="peering-file" accept=".invite,.reply,.pem,text/plain" disabled=${order.busy} onChange=${choose} /></label>
    <${Problem} text=${problem || order.error} />
    ${taken && html`<div class="result" role="status" data-test="file-taken">
      <p>The file is of <${Badge} partner=${taken.partner ?? ''} />.</p>
      ${taken.file && html`<p>Carry the reply back to them:</p><button class="button" type="button" data-test="save-file" onClick=${() => save(fileName('reply', own.partner), taken.file)}>Save ${fileName('reply', own.partner)}</button>`}
      <p class="hint">${taken.file ? 'Then both security officers compare' : 'Both files are exchanged. Now both security officers compare'} the twelve words by voice and approve them.</p>
    </div>`}
  </div>`;
}
