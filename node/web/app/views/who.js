// Who can see a message or a channel: each partner, and how far it came.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { useStore } from '../state.js';
import { learnDelivery } from '../delivery.js';
import { deliveryWords } from '../audience.js';
import { Badge } from './names.js';
import { Sheet } from './sheet.js';
import { Icon } from './util.js';

/** Receipts that are named one by one; the others are counted. */
const RECEIPTS_MOST = 8;
const ROLES = /** @type {Record<string, string>} */ ({ observer: 'reads', contributor: 'reads and writes', admin: 'administers', owner: 'owns the channel' });
const STANDING = /** @type {Record<string, string>} */ ({ invited: 'is invited and does not read yet', active: 'reads', suspended: 'is suspended: it gets nothing new', left: 'has left; it keeps what it received', removed: 'was removed; it keeps what it received' });

/**
 * The own partner first, the others by name.
 * @template {{partner: string}} T
 * @param {T[]} list
 * @param {string} own
 */
const sorted = (list, own) => [...list].sort((one, other) => Number(other.partner === own) - Number(one.partner === own) || one.partner.localeCompare(other.partner));

/** @param {{postId: string}} props */
function OfPost({ postId }) {
  const delivery = useStore((state) => state.delivery[postId]);
  const own = useStore((state) => state.partner);
  const [error, setError] = useState('');
  useEffect(() => {
    api.get(`/api/comity/v1/posts/${postId}`).then(learnDelivery, (problem) => setError(problem.message));
  }, [postId]);
  if (!delivery) return html`<p class=${error ? 'error' : 'hint'} role="status">${error || 'Asking the node…'}</p>`;
  return html`<p class=${`who-sum ${delivery.for_all ? '' : 'narrowed'}`}>${delivery.for_all ? 'Written for all partners of the channel.' : 'Written for some of the channel’s partners only.'} ${deliveryWords(delivery, own).long}</p>
    <h3>Receives it</h3>
    <ul class="plain who-list">${sorted(delivery.receives, own).map((it) => html`<li key=${it.partner}><${Badge} partner=${it.partner} /><span class="grow">${it.partner === own ? 'stored here, on disk' : it.received ? 'has shown that it holds it' : 'has not shown yet that it holds it'}
      ${it.receipts.length > 0 && html`<span class="hint"> ${it.receipts.slice(0, RECEIPTS_MOST).map((receipt) => html`<bdi key=${receipt.user}>${receipt.user}</bdi> ${receipt.state}; `)}${it.receipts.length > RECEIPTS_MOST && `and ${it.receipts.length - RECEIPTS_MOST} more`}</span>`}</span><${Icon} name=${it.received ? 'check' : 'clock'} /></li>`)}</ul>
    ${delivery.excluded.length > 0 && html`<h3>Does not receive it</h3><ul class="plain who-list">${delivery.excluded.map((it) => html`<li key=${it.partner}><${Badge} partner=${it.partner} /><span class="grow">${it.why}</span><${Icon} name="close" /></li>`)}</ul>`}
    <h3>Standing</h3>
    <ul class="plain who-facts">
      <li><${Icon} name=${delivery.final ? 'checks' : 'clock'} />${delivery.final ? 'Final: nothing that any partner does can change any more where it stands.' : 'Not final yet: partners have still to show what they have seen.'}</li>
      ${delivery.late && html`<li><${Icon} name="clock" />Arrived late: after what the partners had agreed on.</li>`}
      ${delivery.forked && html`<li><${Icon} name="fork" />Its writer’s node was proved to have signed two events for one position.</li>`}
    </ul>`;
}

/** @param {{channelId: string}} props */
function OfChannel({ channelId }) {
  const own = useStore((state) => state.partner);
  const links = useStore((state) => state.partners);
  const [told, setTold] = useState(/** @type {any} */ (null));
  const [error, setError] = useState('');
  useEffect(() => {
    api.get(`/api/comity/v1/channels/${channelId}`).then(setTold, (problem) => setError(problem.message));
  }, [channelId]);
  if (!told) return html`<p class=${error ? 'error' : 'hint'} role="status">${error || 'Asking the node…'}</p>`;
  return html`<p class="hint">Who reads a message is fixed when it is sent. Users of this partner here: ${told.users_here}.</p>
    <ul class="plain who-list">${sorted(told.partners, own).map((/** @type {any} */ it) => html`<li key=${it.partner}><${Badge} partner=${it.partner} /><span class="grow">${it.status === 'active' ? ROLES[it.role] ?? it.role : STANDING[it.status] ?? it.status}${it.partner === own ? ' · this partner' : links[it.partner] ? links[it.partner].connected ? ' · linked now' : ' · not linked now: it receives what waits when it is back' : ''}</span><${Icon} name=${it.status === 'active' ? 'check' : 'close'} /></li>`)}</ul>`;
}

/** The sheet. @param {{postId?: string, channelId?: string}} props */
export function WhoSheet({ postId, channelId }) {
  return html`<${Sheet} title=${postId ? 'Who can see this message' : 'Who can see this channel'} test="who-sheet">${postId ? html`<${OfPost} postId=${postId} />` : html`<${OfChannel} channelId=${channelId} />`}<//>`;
}
