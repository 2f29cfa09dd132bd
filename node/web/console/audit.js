// The audit record, the newest first, with a filter, going back and following.
import { html } from '../vendor/html.js';
import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { api } from '../app/api.js';
import { OFTEN_MS } from './ask.js';
import { GROUPS, HELD, append, follow, isRefusal, query } from './records.js';
import { Head, Part, Problem, Tone } from './parts.js';
import { count, plain, when } from './words.js';

/** How long after the last key a text is looked for. */
const TYPING_MS = 300;

/**
 * Records as they are wanted, newest first; asks for newer ones while it follows.
 * @param {string} action
 * @param {string} text
 * @param {boolean} follows
 */
export function useRecords(action, text, follows) {
  const [state, setState] = useState({ records: /** @type {import('./records.js').AuditRecord[]} */ ([]), next: 0, error: '', atMs: 0, busy: true });
  const generation = useRef(0);
  const ask = async (/** @type {(told: import('./records.js').Tail) => any} */ take, /** @type {number} */ before) => {
    const mine = generation.current;
    try {
      const told = await api.get(query({ action, text, before }));
      if (mine === generation.current) setState((/** @type {any} */ held) => ({ ...held, error: '', atMs: Date.now(), busy: false, ...take(told) }));
    } catch (problem) {
      const error = problem instanceof Error ? problem.message : String(problem);
      if (mine === generation.current) setState((/** @type {any} */ held) => ({ ...held, error, busy: false }));
    }
  };
  useEffect(() => {
    generation.current += 1;
    setState((/** @type {any} */ held) => ({ ...held, busy: true }));
    void ask((told) => ({ records: told.records, next: told.next }), 0);
  }, [action, text]);
  useEffect(() => {
    if (!follows) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) void ask((told) => follow(held.current, told), 0);
    }, OFTEN_MS);
    return () => clearInterval(timer);
  }, [action, text, follows]);
  const held = useRef(state.records);
  held.current = state.records;
  const older = () => ask((told) => ({ records: append(held.current, told.records), next: told.next }), state.next);
  return { ...state, older };
}

/** Records as a list. @param {{records: import('./records.js').AuditRecord[]}} props */
export function Records({ records }) {
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Records"><table class="table stacks audit">
    <thead><tr><th scope="col" class="number">No.</th><th scope="col">When</th><th scope="col">What</th><th scope="col">About</th></tr></thead>
    <tbody>${records.map((it) => html`<tr key=${it.number} data-test="audit-record" data-action=${it.action}>
      <td data-label="No." class="number">${count(it.number)}</td>
      <td data-label="When"><time datetime=${new Date(it.at_ms).toISOString()}>${when(it.at_ms)}</time></td>
      <td data-label="What">${isRefusal(it) ? html`<${Tone} tone="bad" word=${plain(it.action)} />` : plain(it.action)}</td>
      <td data-label="About"><bdi class="record-text">${it.text}</bdi></td>
    </tr>`)}</tbody>
  </table></div>`;
}

/** The page of the audit record. */
export function AuditPage() {
  const [group, setGroup] = useState('');
  const [typed, setTyped] = useState('');
  const [text, setText] = useState('');
  const [follows, setFollows] = useState(true);
  useEffect(() => {
    const timer = setTimeout(() => setText(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const told = useRecords(group, text, follows);
  return html`<${Head} title="Audit record" atMs=${told.atMs} />
    <${Part} title="Newest first">
      <form class="filter" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
        <label class="field"><span>Kind</span><select name="kind" value=${group} onChange=${(/** @type {any} */ event) => setGroup(event.currentTarget.value)}>${GROUPS.map((it) => html`<option key=${it.title} value=${it.actions}>${it.title}</option>`)}</select></label>
        <label class="field"><span>With this in it</span><input type="search" name="text" value=${typed} maxlength="200" autocomplete="off" onInput=${(/** @type {any} */ event) => setTyped(event.currentTarget.value)} /></label>
        <label class="choice"><input type="checkbox" name="follow" checked=${follows} onChange=${() => setFollows(!follows)} /><span>Follow</span></label>
      </form>
      <${Problem} text=${told.error} />
      ${told.records.length === 0 && !told.busy && html`<p class="hint" role="status">${told.next > 0 ? 'None among the newest records.' : 'There is no such record.'}</p>`}
      ${told.records.length > 0 && html`<${Records} records=${told.records} />`}
      ${told.next > 0 && (told.records.length < HELD ? html`<button class="button" data-test="older-records" onClick=${() => void told.older()}>Look further back</button>` : html`<p class="hint">${count(HELD)} records are shown: narrow them down to see older ones.</p>`)}
      <p class="hint">Each record bears the hash of the one before: one that is missing or altered shows when the node starts.</p>
    <//>`;
}
