// The twelve words: ours are read out, theirs are typed, and the node compares.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { toast } from '../app/state.js';
import { ROOT, useOrder } from './ask.js';
import { comparing } from './peering.js';
import { Dialog, Problem } from './parts.js';

/** Compares the words of a waiting pact. @param {{peer: any, onClose: () => void}} props */
export function Approve({ peer, onClose }) {
  const [text, setText] = useState('');
  const [isShown, setShown] = useState(false);
  const order = useOrder();
  const typed = comparing(text);
  const approve = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const done = await order.run(() => api.post(`${ROOT}/peers/${encodeURIComponent(peer.partner)}/approve`, { words: typed.words }));
    if (!done) return;
    toast(`The pact with ${peer.partner} is in force.`);
    onClose();
  };
  return html`<${Dialog} title=${`Compare the words with ${peer.partner}`} test="approve-sheet" onClose=${onClose}>
    <p>Call the security officer of <bdi>${peer.partner}</bdi>, at a number that you know from elsewhere. Each of you reads the words to the other. If one differs, somebody has changed a file on its way.</p>
    <button class="button" data-first data-test="show-words" aria-expanded=${isShown} onClick=${() => setShown(!isShown)}>${isShown ? 'Hide the words' : 'Show the words, to read them out'}</button>
    ${isShown && html`<ol class="words" data-test="own-words" aria-label="The words here">${(peer.words ?? []).map((/** @type {string} */ word) => html`<li key=${word}>${word}</li>`)}</ol>`}
    <form onSubmit=${approve}>
      <label class="field"><span>The words as the other side reads them to you</span>
        <textarea name="words" rows="3" autocomplete="off" autocapitalize="none" spellcheck=${false} value=${text} onInput=${(/** @type {any} */ event) => setText(event.currentTarget.value)} aria-describedby="words-hint"></textarea>
        <span id="words-hint" class="hint" role="status">${typed.hint}</span></label>
      <${Problem} text=${order.error} />
      <p class="hint">Approving lets the nodes link. Channels are shared one by one after that.</p>
      <div class="row"><button class="button primary" type="submit" disabled=${!typed.ready || order.busy}>Approve <bdi>${peer.partner}</bdi></button><button class="button" type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}
