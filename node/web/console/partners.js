// Other partners: their links, inviting one, approving the words, suspending and resuming.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { OFTEN_MS, ROOT, usePolled } from './ask.js';
import { bytes, count, counted, isPostQuantum, linkState } from './words.js';
import { Badge, Head, Part, Tone } from './parts.js';
import { Approve } from './approve.js';
import { Exchange } from './exchange.js';
import { PactDialog } from './pact.js';

/** The page about partners. @param {{own: any}} props */
export function PartnersPage({ own }) {
  const peers = usePolled(`${ROOT}/peers`, OFTEN_MS);
  const [sheet, setSheet] = useState(/** @type {any} */ (null));
  const list = /** @type {any[] | null} */ (peers.data);
  const close = () => {
    setSheet(null);
    void peers.reload();
  };
  return html`<${Head} title="Partners" atMs=${peers.atMs} error=${peers.error} />
    ${list?.filter((peer) => peer.state === 'waiting').map((peer) => html`<${Waiting} key=${peer.partner_id} peer=${peer} may=${own.may} onApprove=${() => setSheet({ kind: 'approve', peer })} onRevoke=${() => setSheet({ kind: 'pact', peer, wanted: 'revoked' })} />`)}
    <${Part} title="Links">
      ${list && list.length === 0 && html`<p class="hint">There is no partner yet.</p>`}
      ${list && list.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Links"><table class="table stacks">
        <thead><tr><th scope="col">Partner</th><th scope="col">State</th><th scope="col">Lacks</th><th scope="col">Key exchange</th><th scope="col">Round trip</th><th scope="col">Sent / received</th><th scope="col"><span class="unseen">Orders</span></th></tr></thead>
        <tbody>${list.map((peer) => html`<${Row} key=${peer.partner_id} peer=${peer} may=${own.may} order=${(/** @type {string} */ wanted) => setSheet({ kind: 'pact', peer, wanted })} />`)}</tbody>
      </table></div>`}
    <//>
    <${Exchange} own=${own} onTaken=${() => void peers.reload()} />
    ${sheet?.kind === 'approve' && html`<${Approve} peer=${sheet.peer} onClose=${close} />`}
    ${sheet?.kind === 'pact' && html`<${PactDialog} peer=${sheet.peer} wanted=${sheet.wanted} onClose=${close} />`}`;
}

/** A partner whose words nobody compared yet. @param {{peer: any, may: string[], onApprove: () => void, onRevoke: () => void}} props */
function Waiting({ peer, may, onApprove, onRevoke }) {
  const approves = may.includes('approve_peers');
  return html`<section class="notice" data-test="peer-waiting" data-partner=${peer.partner}>
    <h2><${Badge} partner=${peer.partner} /> waits for approval</h2>
    <p>Both files are here. Nothing goes to this partner until twelve words were compared by voice.</p>
    ${approves
      ? html`<div class="row"><button class="button primary" data-test="compare-words" onClick=${onApprove}>Compare the words…</button><button class="button danger" onClick=${onRevoke}>Reject…</button></div>`
      : html`<p class="hint">The security officer compares and approves them: whoever carries the files does not say that they are right.</p>`}
  </section>`;
}

/** @param {{peer: any, may: string[], order: (wanted: string) => void}} props */
function Row({ peer, may, order }) {
  const state = linkState(peer);
  const cell = (/** @type {string} */ label, /** @type {any} */ value) => html`<td data-label=${label}>${value}</td>`;
  const buttons = [];
  if (peer.state === 'active' && may.includes('suspend_peers')) buttons.push(html`<button class="button" data-test="suspend-peer" onClick=${() => order('suspended')}>Suspend…</button>`);
  if (peer.state === 'suspended' && may.includes('approve_peers')) buttons.push(html`<button class="button" data-test="resume-peer" onClick=${() => order('active')}>Resume…</button>`);
  if ((peer.state === 'active' || peer.state === 'suspended') && may.includes('approve_peers')) buttons.push(html`<button class="button danger" onClick=${() => order('revoked')}>Revoke…</button>`);
  return html`<tr data-test="peer-row" data-partner=${peer.partner}>
    <th scope="row" data-label="Partner"><${Badge} partner=${peer.partner} /> <code class="id" title=${peer.partner_id}>${peer.partner_id.slice(0, 12)}</code>
      <div class="id">${peer.remote ?? (peer.addresses.join(', ') || 'no address')}</div></th>
    ${cell('State', html`<${Tone} ...${state} />${peer.reconnections > 0 && html`<div class="hint">linked again ${count(peer.reconnections)}×</div>`}`)}
    ${cell('Lacks', peer.behind_events > 0 ? html`<span class="whole">${counted(peer.behind_events, 'event')}</span>` : '–')}
    ${cell('Key exchange', peer.group ? html`<code>${peer.group}</code> <${Tone} ...${isPostQuantum(peer.group) ? { tone: 'good', word: 'post-quantum' } : { tone: 'warn', word: 'classical only' }} />` : '–')}
    ${cell('Round trip', peer.rtt_ms === null ? '–' : html`<span class="whole">${peer.rtt_ms.toFixed(1)} ms</span>`)}
    ${cell('Sent / received', html`<span class="whole">${bytes(peer.bytes_sent)}</span> / <span class="whole">${bytes(peer.bytes_received)}</span>`)}
    <td class="orders">${buttons}</td>
  </tr>
  ${peer.last_error && html`<tr class="beneath"><td colspan="7"><span class="hint">Last error: </span><span dir="auto">${peer.last_error}</span></td></tr>`}`;
}
