// People and partners as they are shown everywhere: the name with the badge of its partner.
import { html } from '../../vendor/html.js';
import { useStore } from '../state.js';
import { displayName, fullName, handleOf, hueOf, partnerOf } from '../people.js';
import { safeName } from '../text.js';

/** Sets the colour of a name: styles are set by script, as the policy wants it. @param {string} name */
const tint = (name) => (/** @type {HTMLElement | null} */ element) => element?.style.setProperty('--hue', String(hueOf(name)));

/** The badge of a partner, which bears its name. @param {{partner: string}} props */
export function Badge({ partner }) {
  if (!partner) return null;
  return html`<bdi key=${partner} class="badge" ref=${tint(partner)} title=${`Partner ${safeName(partner)}`}>${safeName(partner)}</bdi>`;
}

/** A person's initial on the colour of the name; names alone say who it is. @param {{user?: import('../types.js').User, small?: boolean, status?: string}} props */
export function Avatar({ user, small, status }) {
  const name = safeName(displayName(user));
  const own = useStore((state) => state.partner);
  return html`<span class=${`avatar ${small ? 'small' : ''}`} aria-hidden="true"><span key=${user?.id} class="avatar-letter" ref=${tint(fullName(user, own))}>${(Array.from(name)[0] ?? '?').toUpperCase()}</span>${status && html`<span class=${`presence ${status}`}></span>`}</span>`;
}

const PRESENCE = /** @type {Record<string, string>} */ ({ online: 'online', away: 'away', dnd: 'does not want to be disturbed', offline: 'offline' });

/** Who is there, for those who do not see the dot. @param {{status?: string}} props */
export function PresenceWord({ status }) {
  return status ? html`<span class="unseen">, ${PRESENCE[status] ?? status}</span>` : null;
}

/** A person's name with the partner's badge. @param {{id: string, plain?: boolean}} props */
export function Name({ id, plain }) {
  const user = useStore((state) => state.users[id]);
  const own = useStore((state) => state.partner);
  const handle = handleOf(user);
  const shown = displayName(user);
  const custom = customStatus(user);
  return html`<span class="name"><bdi class="name-text" dir="auto">${safeName(shown)}</bdi>${!plain && handle && handle !== shown && html` <bdi class="handle">@${safeName(handle)}</bdi>`}${custom && html` <span class="custom-status" title=${custom.text}>${custom.mark}</span>`} <${Badge} partner=${partnerOf(user, own)} />${user?.is_bot && html` <span class="badge plain">bot</span>`}</span>`;
}

/**
 * What somebody says of themselves.
 * @param {import('../types.js').User | undefined} user
 */
export function customStatus(user) {
  const kept = user?.props?.customStatus;
  if (!kept) return null;
  try {
    const told = JSON.parse(kept);
    if (!told.text && !told.emoji) return null;
    const ends = Date.parse(told.expires_at ?? '');
    if (ends > 0 && ends < Date.now() && !String(told.expires_at).startsWith('0001')) return null;
    return { text: safeName(String(told.text ?? '')), emoji: String(told.emoji ?? ''), mark: `“${safeName(String(told.text || told.emoji))}”` };
  } catch {
    return null;
  }
}
