// Going to a channel or person by typing some letters of the name.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { navigate, store, useStore } from '../state.js';
import { displayName, learnUsers, otherOf, partnerOf } from '../people.js';
import { safeName } from '../text.js';
import { writeTo } from '../opening.js';
import { unreadOf } from '../marks.js';
import { Avatar, Badge } from './names.js';
import { closeSheet, Sheet } from './sheet.js';
import { Icon } from './util.js';

const SHOWN_MOST = 12;
const QUIET_MS = 120;

/** The sheet. */
export function Switcher() {
  const [term, setTerm] = useState('');
  const [people, setPeople] = useState(/** @type {import('../types.js').User[]} */ ([]));
  const [index, setIndex] = useState(0);
  const { channels, members, users, me, partner } = useStore((state) => state);
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      if (!term.trim()) return setPeople([]);
      api.post('/api/v4/users/search', { term: term.trim().replace(/^@/, ''), limit: SHOWN_MOST }).then((found) => {
        if (gone) return;
        learnUsers(found);
        setPeople(found.filter((/** @type {any} */ it) => !it.delete_at));
      }, () => undefined);
      return undefined;
    }, QUIET_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [term]);
  const wanted = term.trim().toLowerCase().replace(/^[@~]/, '');
  const listed = Object.values(channels).map((it) => {
    const other = it.type === 'D' ? users[otherOf(it, me?.id ?? '')] : undefined;
    const name = it.type === 'D' ? displayName(other) : it.display_name;
    const { unread, mentions } = unreadOf(it, members[it.id]);
    return { key: it.id, other, channel: it, name, text: `${name} ${other?.username ?? ''}`.toLowerCase(), weight: (mentions > 0 ? 2 : 0) + (unread > 0 ? 1 : 0) };
  });
  const fits = listed.filter((it) => it.text.includes(wanted)).sort((one, other) => Number(other.text.startsWith(wanted)) - Number(one.text.startsWith(wanted)) || other.weight - one.weight || other.channel.last_post_at - one.channel.last_post_at);
  const known = new Set(fits.map((it) => it.other?.id));
  const entries = [
    ...fits.map((it) => ({ key: it.key, label: html`${it.channel.type === 'D' ? html`<${Avatar} user=${it.other} small />` : html`<${Icon} name=${it.channel.shared ? 'share' : 'hash'} />`}<bdi class="grow ellipsis">${safeName(it.name)}</bdi>${it.channel.type === 'D' ? html`<${Badge} partner=${partnerOf(it.other, partner)} />` : html`<span class="hint ellipsis">${it.channel.header}</span>`}${it.weight > 0 && html`<span class="dot"><span class="unseen">unread</span></span>`}`, run: () => navigate(`/channel/${it.key}`) })),
    ...people.filter((it) => !known.has(it.id)).map((it) => ({ key: it.id, label: html`<${Avatar} user=${it} small /><span class="grow ellipsis"><bdi>${safeName(displayName(it))}</bdi> <bdi class="handle">@${safeName(it.username)}</bdi></span><${Badge} partner=${partnerOf(it, partner)} />`, run: () => void writeTo([it.id]) })),
  ].slice(0, SHOWN_MOST);
  const at = Math.min(index, Math.max(0, entries.length - 1));
  const go = (/** @type {any} */ entry) => {
    if (!entry) return;
    closeSheet();
    entry.run();
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'ArrowDown') setIndex((at + 1) % Math.max(1, entries.length));
    else if (event.key === 'ArrowUp') setIndex((at - 1 + entries.length) % Math.max(1, entries.length));
    else if (event.key === 'Enter') go(entries[at]);
    else return;
    event.preventDefault();
  };
  return html`<${Sheet} title="Switch" label="Switch to a channel or person" test="quick-switcher" bare>
    <input type="search" data-first placeholder="Go to a channel or person" aria-label="Go to a channel or person" role="combobox" aria-expanded="true" aria-controls="switcher-list" aria-activedescendant=${entries.length > 0 ? `switch-${at}` : undefined} value=${term} onInput=${(/** @type {any} */ event) => (setTerm(event.currentTarget.value), setIndex(0))} onKeyDown=${pressed} />
    <ul class="plain switch-list" id="switcher-list" role="listbox" aria-label="Channels and people">${entries.map((it, row) => html`<li key=${it.key} id=${`switch-${row}`} role="option" aria-selected=${row === at} onMouseMove=${() => setIndex(row)} onClick=${() => go(it)}>${it.label}</li>`)}</ul>
    ${entries.length === 0 && html`<p class="hint" role="status">Nothing of that name.</p>`}
  <//>`;
}
