// Code in a message: as it was written, with a button that copies it, and lightly coloured.
import { html } from '../vendor/html.js';
import { useState } from '../vendor/hooks.js';
import { coloured } from './colouring.js';

/** Characters that are coloured: more is data. */
const COLOURED = 8_192;
/** How long it says that it was copied, in milliseconds. */
const SAID = 2_000;

/**
 * A block of code.
 * @param {{text: string, language: string}} props
 */
export function CodeBlock({ text, language }) {
  const [state, setState] = useState('');
  const name = /^[\w#+.-]{1,20}/.exec(language)?.[0]?.toLowerCase() ?? '';
  const copy = async () => {
    const done = await navigator.clipboard.writeText(text).then(() => 'Copied', () => 'Not copied');
    setState(done);
    setTimeout(() => setState(''), SAID);
  };
  const parts = name && text.length <= COLOURED ? coloured(text, name) : null;
  return html`<figure class="code" dir="ltr"><figcaption><span>${name || 'code'}</span><button type="button" onClick=${copy}>${state || 'Copy'}</button></figcaption><pre tabindex="0"><code>${parts ? parts.map((it) => (it.kind ? html`<span class=${`code-${it.kind}`}>${it.text}</span>` : it.text)) : text}</code></pre></figure>`;
}
