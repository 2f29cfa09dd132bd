// Choosing an emoji.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { loadEmoji } from './emoji.js';
import { react } from './post.js';
import { closeSheet, Sheet } from './sheet.js';

/** Emoji at a time. */
const SHOWN_MOST = 72;
/** What is offered first: what people answer with at work. */
const FIRST = ['+1', '-1', 'white_check_mark', 'eyes', 'heart', 'smile', 'joy', 'tada', 'pray', 'thinking', 'warning', 'x', 'raised_hands', 'rocket', 'fire', 'clap', 'wave', 'ok_hand', 'question', 'exclamation', '100', 'hourglass', 'lock', 'rotating_light'];

/** @param {{title: string, onPick: (name: string) => void}} props */
function Picker({ title, onPick }) {
  const [term, setTerm] = useState('');
  const [list, setList] = useState(/** @type {{name: string, text: string}[]} */ ([]));
  const [error, setError] = useState('');
  useEffect(() => {
    let gone = false;
    loadEmoji().then(
      async (module) => {
        const found = term.trim() ? await module.searchEmoji(term.trim(), SHOWN_MOST) : FIRST.map((name) => ({ name, text: module.emojiFor(name) })).filter((it) => it.text);
        if (!gone) setList(found);
      },
      () => !gone && setError('The list of emoji did not load. Look at your connection and open this again.'),
    );
    return () => {
      gone = true;
    };
  }, [term]);
  const pick = (/** @type {string} */ name) => {
    closeSheet();
    onPick(name);
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Enter' && list[0]) pick(list[0].name);
  };
  return html`<${Sheet} title=${title}><input type="search" data-first placeholder="Search emoji" aria-label="Search emoji" value=${term} onInput=${(/** @type {any} */ event) => setTerm(event.currentTarget.value)} onKeyDown=${pressed} />
    ${error && html`<p class="error" role="alert">${error}</p>`}
    <div class="emoji-grid" role="group" aria-label="Emoji">${list.map((it) => html`<button key=${it.name} aria-label=${it.name.replace(/_/g, ' ')} title=${`:${it.name}:`} onClick=${() => pick(it.name)}>${it.text}</button>`)}</div>
    ${list.length === 0 && !error && html`<p class="hint" role="status">${term ? 'Nothing found.' : 'Loading…'}</p>`}<//>`;
}

/** @param {{post: import('../types.js').Post}} props */
export function ReactSheet({ post }) {
  return html`<${Picker} title="React" onPick=${(/** @type {string} */ name) => void react(post, name)} />`;
}

/** @param {{onPick: (name: string) => void}} props */
export function EmojiSheet({ onPick }) {
  return html`<${Picker} title="Insert an emoji" onPick=${onPick} />`;
}
