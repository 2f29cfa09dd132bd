// A picture in full.
import { html } from '../../vendor/html.js';
import { useState } from '../../vendor/hooks.js';
import { safeName } from '../text.js';
import { Sheet } from './sheet.js';

/** @param {{files: import('../types.js').FileInfo[], index: number}} props */
export function PictureSheet({ files, index }) {
  const [at, setAt] = useState(index);
  const file = files[at];
  const step = (/** @type {number} */ by) => setAt((at + by + files.length) % files.length);
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'ArrowRight') step(1);
    if (event.key === 'ArrowLeft') step(-1);
  };
  return html`<${Sheet} title=${safeName(file.name)} wide><div class="picture" onKeyDown=${pressed}><img src=${`/api/v4/files/${file.id}`} alt=${file.name} /></div>
    <div class="row sheet-foot">${files.length > 1 && html`<button class="button" onClick=${() => step(-1)}>Previous</button><button class="button" data-first onClick=${() => step(1)}>Next</button>`}<a class="button" href=${`/api/v4/files/${file.id}?download=1`} download=${file.name}>Save</a></div><//>`;
}
