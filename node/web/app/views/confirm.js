// A question before something that cannot be taken back.
import { html } from '../../vendor/html.js';
import { useState } from '../../vendor/hooks.js';
import { closeSheet, Sheet } from './sheet.js';

/** @param {{title: string, text: string, verb: string, danger?: boolean, run: () => Promise<void> | void}} props */
export function ConfirmSheet({ title, text, verb, danger, run }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const yes = async () => {
    setBusy(true);
    try {
      await run();
      closeSheet();
    } catch (problem) {
      setBusy(false);
      setError(problem instanceof Error ? problem.message : String(problem));
    }
  };
  return html`<${Sheet} title=${title}><p>${text}</p>${error && html`<p class="error" role="alert">${error}</p>`}<div class="row sheet-foot"><button class="button" data-first onClick=${closeSheet}>Cancel</button><button class=${`button ${danger ? 'danger' : 'primary'}`} disabled=${busy} onClick=${yes}>${verb}</button></div><//>`;
}
