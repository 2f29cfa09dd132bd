// Suspending, resuming and ending a pact, with what that does before it is done.
import { html } from '../vendor/html.js';
import { api } from '../app/api.js';
import { toast } from '../app/state.js';
import { ROOT, SELDOM_MS, useOrder, usePolled } from './ask.js';
import { Dialog, Problem } from './parts.js';
import { counted } from './words.js';

const WORDS = /** @type {Record<string, {title: string, button: string, done: string, danger: boolean}>} */ ({
  suspended: { title: 'Suspend the pact with', button: 'Suspend', done: 'is suspended', danger: true },
  active: { title: 'Put the pact in force again with', button: 'Resume', done: 'is in force again', danger: false },
  revoked: { title: 'End the pact for good with', button: 'Revoke', done: 'is ended', danger: true },
});

/** Asks before a pact changes. @param {{peer: any, wanted: string, onClose: () => void}} props */
export function PactDialog({ peer, wanted, onClose }) {
  const path = `${ROOT}/peers/${encodeURIComponent(peer.partner)}`;
  const preview = usePolled(`${path}/preview?state=${wanted}`, SELDOM_MS);
  const order = useOrder();
  const words = WORDS[wanted];
  const told = /** @type {any} */ (preview.data);
  const go = async () => {
    const done = await order.run(() => api.put(`${path}/state`, { state: wanted }));
    if (!done) return;
    toast(`The pact with ${peer.partner} ${words.done}.`);
    onClose();
  };
  return html`<${Dialog} title=${`${words.title} ${peer.partner}`} test="pact-sheet" onClose=${onClose}>
    <${Problem} text=${preview.error} />
    ${!told && !preview.error && html`<p class="hint" role="status">Asking the node what this would do…</p>`}
    ${told && html`
      <h3>What it does</h3>
      <ul class="consequences" data-test="consequences">${told.consequences.map((/** @type {string} */ text) => html`<li key=${text} dir="auto">${text}</li>`)}</ul>
      <h3>What is affected</h3>
      <p>${told.channels.length === 0 ? 'No channel is shared with it.' : html`${counted(told.channels.length, 'channel')}: <bdi>${told.channels.join(', ')}</bdi>.`}
        ${told.direct_channels > 0 ? ` ${counted(told.direct_channels, 'direct channel')} of users.` : ''}
        ${told.behind_events > 0 ? ` It lacks ${counted(told.behind_events, 'event')} now.` : ''}</p>
      ${told.why && html`<p class="error">It cannot be done: ${told.why}.</p>`}`}
    <${Problem} text=${order.error} />
    <div class="row">
      <button class=${`button ${words.danger ? 'danger' : 'primary'}`} data-test="pact-go" disabled=${!told || told.why || order.busy} onClick=${go}>${words.button} <bdi>${peer.partner}</bdi></button>
      <button class="button" data-first onClick=${onClose}>Cancel</button>
    </div>
  <//>`;
}
