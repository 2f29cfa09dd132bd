// The channels that this partner has a place in.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { ROOT, SELDOM_MS, useOrder, usePolled } from './ask.js';
import { pathOf } from './rights.js';
import { Badge, Dialog, Head, Part, Problem, Tone } from './parts.js';
import { count, counted } from './words.js';

/** A member in short: what it is, where that is not plain. @param {any} member */
const standing = (member) => (member.status === 'active' ? member.role : `${member.role}, ${member.status}`);

/** The list of channels. @param {{own: any, navigate: (path: string) => void}} props */
export function Channels({ own, navigate }) {
  const told = usePolled(`${ROOT}/channels`, SELDOM_MS);
  const [isMaking, setMaking] = useState(false);
  const answer = /** @type {any} */ (told.data);
  return html`<${Head} title="Channels" atMs=${told.atMs} error=${told.error}>
      ${own.may.includes('share_channels') && html`<button class="button" data-test="make-channel" onClick=${() => setMaking(true)}>New channel…</button>`}
    <//>
    ${answer && html`<${Part} title=${counted(answer.channels.length, 'channel')}>
      <p class="hint">Names, members and how far they are final: no message is shown here. ${answer.direct_channels > 0 ? `${counted(answer.direct_channels, 'direct channel')} of users are not listed.` : ''}</p>
      ${answer.channels.length > 0 && html`<div class="scrolls" tabindex="0" role="region" aria-label="Channels"><table class="table stacks">
        <thead><tr><th scope="col">Channel</th><th scope="col">This partner</th><th scope="col">Members</th><th scope="col" class="number">Posts</th><th scope="col" class="number">Events</th></tr></thead>
        <tbody>${answer.channels.map((/** @type {any} */ channel) => html`<tr key=${channel.id} data-test="console-channel" data-channel=${channel.name}>
          <th scope="row" data-label="Channel"><a href=${pathOf('channels', channel.id)}><bdi>${channel.name}</bdi></a> <code class="id" title=${channel.id}>${channel.id.slice(0, 12)}</code></th>
          <td data-label="This partner"><${Tone} tone=${channel.status === 'active' ? 'good' : channel.status === 'invited' ? 'warn' : 'plain'} word=${channel.status} /></td>
          <td data-label="Members"><ul class="plain members">${channel.members.map((/** @type {any} */ it) => html`<li key=${it.partner_id}><${Badge} partner=${it.partner} /> <span class="hint">${standing(it)}</span></li>`)}</ul></td>
          <td data-label="Posts" class="number">${count(channel.posts)}</td>
          <td data-label="Events" class="number">${count(channel.events)}</td>
        </tr>`)}</tbody>
      </table></div>`}
    <//>`}
    ${isMaking && html`<${NewChannel} onClose=${() => setMaking(false)} onMade=${(/** @type {any} */ made) => navigate(pathOf('channels', made.id))} />`}`;
}

/** @param {{onClose: () => void, onMade: (made: any) => void}} props */
function NewChannel({ onClose, onMade }) {
  const order = useOrder();
  const make = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    void order.run(async () => {
      onMade(await api.post(`${ROOT}/channels`, { name: String(data.get('name')).trim(), history: data.get('history'), quorum: Number(data.get('quorum')) }));
    });
  };
  return html`<${Dialog} title="New channel" test="new-channel" onClose=${onClose}>
    <form onSubmit=${make}>
      <label class="field"><span>Name</span><input name="name" required maxlength="64" autocapitalize="none" spellcheck=${false} data-first /></label>
      <label class="field"><span>Whoever joins reads</span><select name="history"><option value="from_join">what is written from then on</option><option value="all">also what was for all members before</option></select></label>
      <label class="field"><span>Owners who decide about owners</span><input name="quorum" type="number" min="0" max="64" value="0" required aria-describedby="quorum-hint" /><span class="hint" id="quorum-hint">0 for a majority. Neither rule can be changed later.</span></label>
      <${Problem} text=${order.error} />
      <div class="row"><button class="button primary" type="submit" disabled=${order.busy}>Make the channel</button><button class="button" type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}
