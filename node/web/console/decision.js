// A decision about a partner's membership: chosen, previewed by the node, and taken as it was previewed.
import { html } from '../vendor/html.js';
import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { toast } from '../app/state.js';
import { ROOT, SELDOM_MS, useOrder, usePolled } from './ask.js';
import { headlineIn, invitable, outcomeText } from './deciding.js';
import { Dialog, Partners, Problem } from './parts.js';
import { CHANNEL_ROLES } from './words.js';

/**
 * What the node says a decision would do now.
 * @param {string} path
 * @param {{act: string, partner: string, role: string | null}} wanted
 */
function usePreview(path, wanted) {
  const [state, setState] = useState({ preview: /** @type {any} */ (null), error: '' });
  const [round, setRound] = useState(0);
  const isWhole = wanted.partner !== '';
  useEffect(() => {
    setState({ preview: null, error: '' });
    if (!isWhole) return undefined;
    let isOver = false;
    api.post(`${path}/preview`, wanted).then(
      (preview) => !isOver && setState({ preview, error: '' }),
      (problem) => !isOver && setState({ preview: null, error: problem.message }),
    );
    return () => {
      isOver = true;
    };
  }, [path, wanted.act, wanted.partner, wanted.role, round]);
  return { ...state, again: () => setRound((/** @type {number} */ it) => it + 1) };
}

/**
 * Asks for a decision and takes it.
 * @param {{channel: any, decision: any, onClose: () => void}} props
 */
export function DecisionDialog({ channel, decision, onClose }) {
  const path = `${ROOT}/channels/${encodeURIComponent(channel.id)}`;
  const [partner, setPartner] = useState(decision.partner);
  const [role, setRole] = useState(decision.role);
  const isChoosing = useRef(decision.partner === '');
  const partners = usePolled(isChoosing.current ? '/api/comity/v1/partners' : null, SELDOM_MS);
  const names = invitable(/** @type {any} */ (partners.data) ?? [], channel.members);
  const wanted = { act: decision.act, partner, role };
  const asked = usePreview(path, wanted);
  const order = useOrder();
  const preview = /** @type {import('./deciding.js').Preview | null} */ (asked.preview);
  const outcome = preview && outcomeText(preview);
  const take = async () => {
    const done = await order.run(async () => {
      try {
        const told = await api.post(`${path}/decisions`, { ...wanted, seen: preview?.seen });
        toast(`${told.done}: ${told.partner} in ${told.channel}`);
      } catch (problem) {
        // What was read does not hold any more: what it would do now is shown.
        if (/** @type {any} */ (problem).status === 409) asked.again();
        throw problem;
      }
    });
    if (done) onClose();
  };
  const isOf = (/** @type {string[]} */ acts) => acts.includes(decision.act);
  return html`<${Dialog} title=${partner ? headlineIn(wanted, channel.name) : `Invite a partner to ${channel.name}`} test="decision-sheet" onClose=${onClose}>
    ${isChoosing.current && html`<label class="field"><span>Partner</span>
      <select name="partner" data-first value=${partner} onChange=${(/** @type {any} */ event) => setPartner(event.currentTarget.value)}>
        <option value="">Choose…</option>${names.map((it) => html`<option key=${it} value=${it}>${it}</option>`)}
      </select>
      ${partners.data !== null && names.length === 0 && html`<span class="hint">Every partner with a pact in force is in the channel.</span>`}</label><${Problem} text=${partners.error} />`}
    ${isOf(['invite', 'grant']) && !decision.fixed && html`<label class="field"><span>Role in the channel</span>
      <select name="role" value=${role} onChange=${(/** @type {any} */ event) => setRole(event.currentTarget.value)}>${CHANNEL_ROLES.map((it) => html`<option key=${it} value=${it}>${it}</option>`)}</select></label>`}
    <div aria-live="polite">
      ${partner && !preview && !asked.error && html`<p class="hint">Asking the node what this would do…</p>`}
      <${Problem} text=${asked.error} />
      ${preview && outcome && html`
        <p class=${`outcome ${outcome.tone}`} data-test="outcome" data-outcome=${preview.outcome}>${outcome.text}</p>
        ${preview.quorum && preview.quorum.endorsed_by.length > 0 && html`<p class="hint">Behind it: <${Partners} names=${preview.quorum.endorsed_by} /></p>`}
        ${preview.outcome !== 'refused' && html`<h3>What follows when it is carried out</h3>
        <ul class="consequences" data-test="consequences">${preview.consequences.map((text) => html`<li key=${text} dir="auto">${text}</li>`)}</ul>`}`}
    </div>
    <${Problem} text=${order.error} />
    <div class="row">
      ${outcome?.button && html`<button class=${`button ${isOf(['remove', 'suspend']) && preview?.outcome === 'takes_effect' ? 'danger' : 'primary'}`} data-test="decision-go" disabled=${order.busy} onClick=${take}>${outcome.button}</button>`}
      <button class="button" data-first=${isChoosing.current ? undefined : true} onClick=${onClose}>${outcome && !outcome.button ? 'Close' : 'Cancel'}</button>
    </div>
  <//>`;
}
