// A message that the node does not have yet: it waits, is being sent, or was refused.
import { html } from '../../vendor/html.js';
import { store, useStore } from '../state.js';
import { discard, retry } from '../sending.js';
import { keepDraft } from '../drafts.js';
import { Avatar, Badge, Name } from './names.js';
import { Icon, clock } from './util.js';

/** @param {{item: import('../outbox.js').Item}} props */
export function Pending({ item }) {
  const me = useStore((state) => state.me);
  const words = item.state === 'failed' ? 'not sent' : item.state === 'sending' ? 'sending…' : 'waits for the node';
  const again = () => retry(item.id);
  const back = () => {
    const draft = store.get().drafts[item.rootId || item.channelId];
    keepDraft(item.channelId, item.rootId, { message: [item.message, draft?.message].filter(Boolean).join('\n'), files: item.files, to: item.to });
    discard(item.id);
  };
  return html`<article class=${`post with-head pending ${item.state}`} data-test="post" data-pending=${item.state} data-pending-id=${item.id}>
    <div class="post-side"><${Avatar} user=${me} /></div>
    <div class="post-main">
      <header class="post-head"><${Name} id=${item.userId} /><span class="post-time">${clock(item.createdMs)}</span></header>
      ${item.to.length > 0 && html`<div class="marks"><span class="mark narrowed"><${Icon} name="eye" /><span>only ${item.to.map((/** @type {string} */ it) => html`<${Badge} key=${it} partner=${it} />`)}</span></span></div>`}
      <div class="post-text plain-text" dir="auto">${item.message}</div>
      ${item.files.length > 0 && html`<p class="hint">${item.files.length} ${item.files.length === 1 ? 'file' : 'files'}</p>`}
      <div class="row pending-line" role="status"><${Icon} name=${item.state === 'failed' ? 'alert' : 'clock'} /><span>${words}${item.error ? `: ${item.error}` : ''}</span>
        ${item.state !== 'sending' && html`<button class="button" onClick=${again}>${item.state === 'failed' ? 'Send again' : 'Try now'}</button><button class="button" onClick=${back}>Back to the composer</button><button class="button" onClick=${() => discard(item.id)}>Discard</button>`}
      </div>
    </div>
  </article>`;
}
