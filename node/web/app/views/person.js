// Who somebody is, and writing to them.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { useStore } from '../state.js';
import { displayName, learnUsers, partnerOf, wantStatuses } from '../people.js';
import { safeName } from '../text.js';
import { writeTo } from '../opening.js';
import { Avatar, Badge, customStatus } from './names.js';
import { Sheet } from './sheet.js';

const PRESENCE = /** @type {Record<string, string>} */ ({ online: 'Online', away: 'Away', dnd: 'Does not want to be disturbed', offline: 'Offline' });

/** @param {{id?: string, name?: string}} props */
export function PersonSheet({ id, name }) {
  const [found, setFound] = useState(id ?? '');
  const [error, setError] = useState('');
  const user = useStore((state) => state.users[found]);
  const own = useStore((state) => state.partner);
  const me = useStore((state) => state.me?.id);
  const status = useStore((state) => state.statuses[found]);
  useEffect(() => {
    const ask = name ? api.get(`/api/v4/users/username/${encodeURIComponent(name.replace(/^@/, ''))}`) : api.get(`/api/v4/users/${id}`);
    ask.then((told) => {
      learnUsers([told]);
      setFound(told.id);
      wantStatuses([told.id], true);
    }, () => setError(`Nobody called ${name ?? 'that'} is known here.`));
  }, [id, name]);
  const custom = customStatus(user);
  return html`<${Sheet} title=${user ? safeName(displayName(user)) : name ?? ''} label="Person">${error && !user && html`<p role="alert">${error}</p>`}
    ${user && html`<div class="person"><${Avatar} user=${user} status=${status ?? 'offline'} /><div class="grow"><p><bdi>@${safeName(user.username)}</bdi> <${Badge} partner=${partnerOf(user, own)} /></p><p class="hint">${user.delete_at ? 'No longer in any channel here.' : `${PRESENCE[status ?? 'offline'] ?? status}${user.is_bot ? ' · a program, not a person' : ''}`}</p>${custom && html`<p dir="auto">${custom.text}</p>`}</div></div>
      <p class="hint">${partnerOf(user, own) === own ? 'A user of this partner.' : `A user of ${partnerOf(user, own)}, as that partner says. Display names are shown as the partner gives them; the name with the partner’s behind the colon is the one to go by.`}</p>
      ${!user.delete_at && user.id !== me && html`<div class="row sheet-foot"><button class="button primary" data-first onClick=${() => writeTo([user.id])}>Write a direct message</button></div>`}`}
  <//>`;
}
