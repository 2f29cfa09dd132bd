// What happened, said in a corner.
import { html } from '../../vendor/html.js';
import { dropToast, useStore } from '../state.js';

/** The words of what happened, newest last. */
export function Toasts() {
  const toasts = useStore((state) => state.toasts);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.map((it) => html`<div key=${it.id} class=${`toast ${it.bad ? 'bad' : ''}`} data-test="toast">
      <span dir="auto">${it.text}</span>
      ${it.action && html`<button class="button" onClick=${() => (dropToast(it.id), it.action?.run())}>${it.action.label}</button>`}
      <button class="icon-button" aria-label="Dismiss" onClick=${() => dropToast(it.id)}>✕</button>
    </div>`)}
  </div>`;
}
