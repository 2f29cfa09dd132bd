// Keys and words.
import { html } from '../../vendor/html.js';
import { SHORTCUTS } from '../shortcuts.js';
import { Sheet } from './sheet.js';
import { Icon } from './util.js';

const WORDS = [
  ['eye', 'Who will receive this', 'The bar above the composer lists the partners that a message goes to, and those it does not go to and why. Press a partner to leave it out: only the others will ever be able to read the message.'],
  ['clock', 'Stored, waiting', 'The message is on this node’s disk; a partner has not shown yet that it holds it.'],
  ['check', 'Received', 'All partners that it is for have shown that they hold it.'],
  ['checks', 'Final', 'Nothing that any partner does can change any more where it stands.'],
  ['clock', 'Arrived late', 'It came after what the partners had agreed on, and slipped in where its writer placed it.'],
  ['fork', 'Writer forked', 'Its writer’s node was proved to have signed two events for one position.'],
];

/** The sheet. */
export function HelpSheet() {
  return html`<${Sheet} title="Help" test="help-sheet" wide><div class="help"><section><h3>Keys</h3><dl class="keys">${SHORTCUTS.map((it) => html`<div key=${it.what}><dt>${it.keys.map((key) => html`<kbd key=${key}>${key}</kbd> `)}</dt><dd>${it.what}</dd></div>`)}</dl></section>
    <section><h3>Marks</h3><dl class="words">${WORDS.map(([icon, name, what]) => html`<div key=${name}><dt><${Icon} name=${icon} />${name}</dt><dd>${what}</dd></div>`)}</dl></section>
    <section><h3>Search</h3><p><kbd>from:alice</kbd> <kbd>in:harbour</kbd> <kbd>before:2026-01-31</kbd> <kbd>after:2026-01-01</kbd> <kbd>on:2026-01-15</kbd> <kbd>"a phrase"</kbd> <kbd>-without</kbd> <kbd>word*</kbd></p></section></div><//>`;
}
