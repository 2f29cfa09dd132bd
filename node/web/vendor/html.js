// Binds the markup tag to the view library, so that views write html`<p>…</p>`.
import htm from './htm.js';
import { h } from './preact.js';

/** Tagged template that makes virtual nodes; everything put in is text or an attribute, never markup. */
export const html = htm.bind(h);
