// One channel: its members, how far it is final, and decisions about who is in it.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { OFTEN_MS, ROOT, useOrder, usePolled } from './ask.js';
import { pathOf } from './rights.js';
import { actsFor, buttonOf, proposalText } from './deciding.js';
import { DecisionDialog } from './decision.js';
import { Badge, Dialog, Facts, Head, Part, Partners, Problem, Tone } from './parts.js';
import { count, finality, quorumText } from './words.js';

/** The page of a channel. @param {{own: any, about: string}} props */
export function ChannelPage({ own, about }) {
  const path = `${ROOT}/channels/${encodeURIComponent(about)}`;
  const told = usePolled(path, OFTEN_MS);
  const [decision, setDecision] = useState(/** @type {any} */ (null));
  const [asking, setAsking] = useState('');
  const channel = /** @type {any} */ (told.data);
  const close = () => {
    setDecision(null);
    setAsking('');
    void told.reload();
  };
  return html`<p class="crumbs"><a href=${pathOf('channels')}>Channels</a></p>
    <${Head} title=${channel?.name ?? 'Channel'} atMs=${told.atMs} error=${told.error}>
      ${channel?.status === 'invited' && own.may.includes('share_channels') && html`<button class="button primary" data-test="accept-channel" onClick=${() => setAsking('accept')}>Accept…</button>`}
      ${channel?.status === 'active' && own.may.includes('share_channels') && html`<button class="button danger" onClick=${() => setAsking('leave')}>Leave…</button>`}
    <//>
    ${channel && html`
      <${Facts} rows=${facts(channel)} />
      <${Members} channel=${channel} own=${own} decide=${setDecision} />
      ${channel.proposals?.length > 0 && html`<${Proposals} proposals=${channel.proposals} own=${own} decide=${setDecision} />`}
      <${Lanes} lanes=${channel.lanes ?? []} />`}
    ${decision && html`<${DecisionDialog} channel=${channel} decision=${decision} onClose=${close} />`}
    ${asking && html`<${OwnPlace} path=${path} name=${channel.name} act=${asking} onClose=${close} />`}`;
}

/** @param {any} channel @returns {[string, any][]} */
function facts(channel) {
  return [
    ['Id', html`<code>${channel.id}</code>`],
    ['This partner', channel.status],
    ['Whoever joins reads', channel.history === 'all' ? 'also what was for all members before' : 'what is written from then on'],
    ['Decides about owners', quorumText(channel.quorum)],
    ['Holds', `${count(channel.posts)} posts, ${count(channel.events)} events`],
  ];
}

/** @param {{channel: any, own: any, decide: (decision: any) => void}} props */
function Members({ channel, own, decide }) {
  const shares = channel.status === 'active' && own.may.includes('share_channels');
  const title = html`<button class="button" data-test="invite-partner" onClick=${() => decide({ act: 'invite', partner: '', role: 'contributor' })}>Invite a partner…</button>`;
  return html`<${Part} title="Members" aside=${shares ? title : null}>
    <div class="scrolls" tabindex="0" role="region" aria-label="Members"><table class="table stacks">
      <thead><tr><th scope="col">Partner</th><th scope="col">Role</th><th scope="col">Standing</th><th scope="col">Writers</th><th scope="col"><span class="unseen">Decisions</span></th></tr></thead>
      <tbody>${channel.members.map((/** @type {any} */ it) => html`<tr key=${it.partner_id} data-test="member-row" data-partner=${it.partner}>
        <th scope="row" data-label="Partner"><${Badge} partner=${it.partner} /> <code class="id" title=${it.partner_id}>${it.partner_id.slice(0, 12)}</code></th>
        <td data-label="Role">${it.role}</td>
        <td data-label="Standing"><${Tone} tone=${it.status === 'active' ? 'good' : it.status === 'invited' ? 'warn' : 'plain'} word=${it.status} /></td>
        <td data-label="Writers"><span class="hint" title=${it.writers.join('\n')}>${it.writers.length}</span></td>
        <td class="orders">${channel.status === 'active' && actsFor(it, own.partner, own.may).map((act) => html`<button key=${act} class=${`button ${act === 'remove' ? 'danger' : ''}`} data-test=${`decide-${act}`} onClick=${() => decide({ act, partner: it.partner, role: act === 'grant' || act === 'invite' ? it.role : null })}>${buttonOf(act)}</button>`)}</td>
      </tr>`)}</tbody>
    </table></div>
  <//>`;
}

/** @param {{proposals: any[], own: any, decide: (decision: any) => void}} props */
function Proposals({ proposals, own, decide }) {
  const mayDecide = (/** @type {any} */ it) => own.may.includes(it.act === 'invite' || it.act === 'grant' ? 'share_channels' : 'remove_partners');
  return html`<${Part} title="Proposals of owners">
    <ul class="plain cards">${proposals.map((it) => html`<li class="card" key=${`${it.act} ${it.partner} ${it.role}`} data-test="proposal">
      <span dir="auto">${proposalText(it)}</span>
      ${mayDecide(it) && html`<button class="button" onClick=${() => decide({ act: it.act, partner: it.partner, role: it.role ?? null, fixed: true })}>Look at it…</button>`}
    </li>`)}</ul>
  <//>`;
}

const FORMS = /** @type {Record<string, string>} */ ({ control: 'Membership', open: 'For all members', directed: 'For some' });

/** @param {{lanes: any[]}} props */
function Lanes({ lanes }) {
  return html`<${Part} title="How far it is final">
    <p class="hint">Each audience has a lane of its own. What is final cannot change its place or worth any more, whatever any partner does.</p>
    <div class="scrolls" tabindex="0" role="region" aria-label="Lanes"><table class="table stacks">
      <thead><tr><th scope="col">Lane</th><th scope="col">Readers</th><th scope="col" class="number">Barrier</th><th scope="col">Final</th><th scope="col">Waits for</th></tr></thead>
      <tbody>${lanes.map((lane) => html`<tr key=${`${lane.form} ${lane.audience}`}>
        <th scope="row" data-label="Lane">${FORMS[lane.form] ?? lane.form}</th>
        <td data-label="Readers"><${Partners} names=${lane.audience} /></td>
        <td data-label="Barrier" class="number">${count(lane.barrier)}</td>
        <td data-label="Final"><${Tone} tone=${lane.not_final === 0 ? 'good' : 'warn'} word=${finality({ ...lane, waits_for: [] })} /></td>
        <td data-label="Waits for">${lane.waits_for.length > 0 ? html`<${Partners} names=${lane.waits_for} />` : '–'}</td>
      </tr>`)}</tbody>
    </table></div>
  <//>`;
}

const OWN = /** @type {Record<string, {title: string, tells: string[], button: string}>} */ ({
  accept: {
    title: 'Accept the invitation to',
    tells: ['this partner becomes a member: all of its members’ accounts are in the channel', 'what they write there goes to all members and stays with them, whatever happens later'],
    button: 'Accept',
  },
  leave: {
    title: 'Leave',
    tells: ['the membership of this partner ends: nobody here writes in the channel any more', 'what was received stays readable here; what others write from then on does not come', 'another member has to invite this partner again before it can come back'],
    button: 'Leave',
  },
});

/** Accepting and leaving. @param {{path: string, name: string, act: string, onClose: () => void}} props */
function OwnPlace({ path, name, act, onClose }) {
  const order = useOrder();
  const words = OWN[act];
  const go = async () => {
    if (await order.run(() => api.post(`${path}/${act}`))) onClose();
  };
  return html`<${Dialog} title=${`${words.title} ${name}`} onClose=${onClose}>
    <ul class="consequences">${words.tells.map((text) => html`<li key=${text}>${text}</li>`)}</ul>
    <${Problem} text=${order.error} />
    <div class="row"><button class=${`button ${act === 'leave' ? 'danger' : 'primary'}`} data-test="own-place-go" disabled=${order.busy} onClick=${go}>${words.button}</button><button class="button" data-first onClick=${onClose}>Cancel</button></div>
  <//>`;
}
