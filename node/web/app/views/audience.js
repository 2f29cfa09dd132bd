// The bar above the composer: who will receive the message and who will not, before it is sent.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api, ApiError } from '../api.js';
import { useStore } from '../state.js';
import { audienceWords, inOrder, isNarrowed, toggled } from '../audience.js';
import { Badge } from './names.js';
import { Icon } from './util.js';

/** How long to wait before the node is asked again where it did not answer. */
const AGAIN_MS = 5_000;

/**
 * What the node says of who would receive a message; asked again when the channel or what is linked changes.
 * @param {string} channelId
 * @param {string} rootId
 * @param {string[]} to
 */
export function useAudience(channelId, rootId, to) {
  const [known, setKnown] = useState(/** @type {{key: string, all: import('../types.js').Audience | null, chosen: import('../types.js').Audience | null, stale: boolean, refused: string}} */ ({ key: '', all: null, chosen: null, stale: false, refused: '' }));
  const channel = useStore((state) => state.channels[channelId]?.header);
  const partners = useStore((state) => state.partners);
  const readers = useStore((state) => state.readers);
  const connection = useStore((state) => state.connection.state);
  const key = JSON.stringify([channelId, rootId, to]);
  useEffect(() => {
    let gone = false;
    /** @type {any} */
    let timer = null;
    const ask = async () => {
      /** @type {import('../types.js').Audience | null} */
      let all = null;
      try {
        const path = `/api/comity/v1/channels/${channelId}/audience`;
        all = await api.post(path, { to: [], root_id: rootId });
        const chosen = to.length > 0 ? await api.post(path, { to, root_id: rootId }) : all;
        if (!gone) setKnown({ key, all, chosen, stale: false, refused: '' });
      } catch (error) {
        if (gone) return;
        const away = error instanceof ApiError && error.status === 0;
        const refused = away ? '' : error instanceof Error ? error.message : String(error);
        // The partners to choose from stay: whoever chose wrong takes it back by them.
        const channelOf = (/** @type {string} */ text) => JSON.parse(text || '[""]')[0];
        setKnown((before) => ({ key, stale: away, refused, chosen: before.key === key && away ? before.chosen : null, all: all ?? (channelOf(before.key) === channelId ? before.all : null) }));
        if (away) timer = setTimeout(ask, AGAIN_MS);
      }
    };
    void ask();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [key, channel, partners, readers, connection]);
  const same = known.key === key;
  return { all: known.all && JSON.parse(known.key || '[""]')[0] === channelId ? known.all : null, audience: same ? known.chosen : null, stale: same && known.stale, refused: same ? known.refused : '' };
}

/**
 * The bar itself.
 * @param {{audience: import('../types.js').Audience | null, all: import('../types.js').Audience | null, stale: boolean, refused: string, to: string[], direct: boolean, grown: string[], onChange: (to: string[]) => void}} props
 */
export function AudienceBar({ audience, all, stale, refused, to, direct, grown, onChange }) {
  const own = useStore((state) => state.partner);
  const links = useStore((state) => state.partners);
  const words = audienceWords({ audience, to, own, direct, stale, refused });
  const readers = inOrder(all?.receives ?? [], own);
  const chosen = isNarrowed(to) ? to : readers;
  const cannot = all?.excluded ?? [];
  return html`<section class=${`audience ${words.tone}`} data-test="audience-bar" data-tone=${words.tone} aria-label="Who will receive this message">
    <div class="audience-line">
      <${Icon} name=${words.tone === 'narrowed' || words.tone === 'partial' ? 'alert' : 'eye'} />
      <p class="audience-title" aria-live="polite"><strong>${words.title}</strong>${words.detail && html`<span class="audience-detail"> ${words.detail}</span>`}</p>
    </div>
    ${(readers.length > 1 || cannot.length > 0 || isNarrowed(to)) && html`<div class="audience-toggles" role="group" aria-label="Partners">
      ${readers.map((partner) => {
        const on = chosen.includes(partner);
        const away = partner !== own && links[partner] && !links[partner].connected;
        const label = partner === own ? `${partner}: your own partner, always receives it` : on ? `${partner}: will receive it${away ? ' once it is reached again' : ''}; press to leave it out` : `${partner}: will not receive it; press to include it`;
        return html`<button key=${partner} type="button" class=${`audience-toggle ${on ? 'on' : 'off'}`} data-test="audience-toggle" data-partner=${partner} aria-pressed=${on} aria-label=${label} title=${label} disabled=${partner === own} onClick=${() => onChange(toggled(to, readers, partner, own))}><${Icon} name=${on ? 'check' : 'close'} /><${Badge} partner=${partner} />${away && on && html`<span class="audience-away">not linked</span>`}</button>`;
      })}
      ${cannot.map((it) => html`<span key=${it.partner} class="audience-toggle cannot" data-partner=${it.partner} title=${`${it.partner} will not receive it: ${it.why}`}><${Icon} name="close" /><${Badge} partner=${it.partner} /><span class="unseen">will not receive it: ${it.why}</span></span>`)}
      ${isNarrowed(to) && html`<button type="button" class="button audience-all" onClick=${() => onChange([])}>Send to all again</button>`}
    </div>`}
    ${grown.length > 0 && html`<p class="audience-grown" role="alert"><${Icon} name="alert" />Since you began to write, ${grown.join(', ')} joined those who will receive this.</p>`}
  </section>`;
}
