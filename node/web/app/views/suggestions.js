// What can be meant while one writes: people after @, channels after ~, emoji after :.
import { html } from '../../vendor/html.js';
import { useRef, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { store } from '../state.js';
import { displayName, learnUsers, partnerOf } from '../people.js';
import { safeName } from '../text.js';
import { Badge } from './names.js';
import { loadEmoji } from './emoji.js';

/** Entries at a time: what fits above the composer. */
const SHOWN_MOST = 8;
/** How long nobody types before the node is asked. */
const QUIET_MS = 120;

/**
 * The word before the caret that calls for suggestions.
 * @param {string} text
 * @param {number} caret
 */
export function calling(text, caret) {
  const match = /(?:^|[\s(])([@~:])([^\s@~]{0,40})$/.exec(text.slice(0, caret));
  if (!match) return null;
  const [, sign, term] = match;
  if (sign === ':' && (term.length < 2 || !/^[a-z0-9_+-]+$/i.test(term))) return null;
  return { sign, term, start: caret - term.length - 1 };
}

/**
 * Suggestions of one text area.
 * @param {{current: HTMLTextAreaElement | null}} area
 * @param {string} channelId
 * @param {(text: string) => void} write
 */
export function useSuggestions(area, channelId, write) {
  const [list, setList] = useState(/** @type {{text: string, label: any}[]} */ ([]));
  const [index, setIndex] = useState(0);
  const asked = useRef({ count: 0, timer: /** @type {any} */ (null), start: 0, end: 0 });
  const close = () => {
    asked.current.count += 1;
    clearTimeout(asked.current.timer);
    setList([]);
  };
  const find = async (/** @type {string} */ sign, /** @type {string} */ term) => {
    if (sign === '@') {
      const told = await api.get(`/api/v4/users/autocomplete?in_channel=${channelId}&name=${encodeURIComponent(term)}&limit=${SHOWN_MOST}`);
      learnUsers([...told.users, ...told.out_of_channel]);
      const own = store.get().partner;
      const entry = (/** @type {any} */ user, /** @type {boolean} */ inside) => ({ text: `@${user.username} `, label: html`<bdi>${safeName(displayName(user))}</bdi> <bdi class="handle">@${safeName(user.username)}</bdi> <${Badge} partner=${partnerOf(user, own)} />${!inside && html` <span class="hint">not in this channel</span>`}` });
      return [...told.users.map((/** @type {any} */ it) => entry(it, true)), ...told.out_of_channel.map((/** @type {any} */ it) => entry(it, false))];
    }
    if (sign === '~') {
      const found = Object.values(store.get().channels).filter((it) => it.type !== 'D' && it.type !== 'G' && it.name.toLowerCase().includes(term.toLowerCase()));
      return found.map((it) => ({ text: `~${it.name} `, label: html`<bdi>${safeName(it.display_name)}</bdi>` }));
    }
    const { searchEmoji } = await loadEmoji();
    return (await searchEmoji(term, SHOWN_MOST)).map((/** @type {any} */ it) => ({ text: `:${it.name}: `, label: html`<span class="emoji">${it.text}</span> :${it.name}:` }));
  };
  const look = () => {
    const element = area.current;
    const found = element && calling(element.value, element.selectionStart);
    asked.current.count += 1;
    clearTimeout(asked.current.timer);
    if (!element || !found) {
      setList([]);
      return;
    }
    const count = asked.current.count;
    asked.current.timer = setTimeout(async () => {
      const entries = await find(found.sign, found.term).catch(() => []);
      const still = calling(element.value, element.selectionStart);
      if (asked.current.count !== count || still?.term !== found.term || still.sign !== found.sign) return;
      asked.current.start = found.start;
      asked.current.end = found.start + found.term.length + 1;
      setIndex(0);
      setList(entries.slice(0, SHOWN_MOST));
    }, QUIET_MS);
  };
  const choose = (/** @type {number} */ at) => {
    const element = area.current;
    const entry = list[at];
    if (!element || !entry) return;
    const { start, end } = asked.current;
    const text = element.value.slice(0, start) + entry.text + element.value.slice(end);
    write(text);
    close();
    requestAnimationFrame(() => {
      element.focus();
      element.setSelectionRange(start + entry.text.length, start + entry.text.length);
    });
  };
  return {
    list,
    index,
    open: list.length > 0,
    look,
    close,
    choose,
    /** Takes a key that is for the list. @param {KeyboardEvent} event */
    pressed(event) {
      if (list.length === 0 || event.isComposing) return false;
      const { start, end } = asked.current;
      // What stands there in full already is not chosen once more: Enter sends.
      if (event.key === 'Enter' && area.current?.value.slice(start, end) === list[index]?.text.trim()) {
        close();
        return false;
      }
      if (event.key === 'ArrowDown') setIndex((index + 1) % list.length);
      else if (event.key === 'ArrowUp') setIndex((index - 1 + list.length) % list.length);
      else if (event.key === 'Enter' || event.key === 'Tab') choose(index);
      else if (event.key === 'Escape') close();
      else return false;
      event.preventDefault();
      event.stopPropagation();
      return true;
    },
  };
}

/** The list above the composer. @param {{suggest: ReturnType<typeof useSuggestions>}} props */
export function Suggestions({ suggest }) {
  return html`<ul class="plain suggestions" id="suggestions" role="listbox" aria-label="Suggestions" hidden=${!suggest.open}>
    ${suggest.list.map((it, at) => html`<li key=${it.text} id=${`suggestion-${at}`} role="option" aria-selected=${at === suggest.index} dir="auto" onMouseDown=${(/** @type {Event} */ event) => (event.preventDefault(), suggest.choose(at))}>${it.label}</li>`)}
  </ul>`;
}
