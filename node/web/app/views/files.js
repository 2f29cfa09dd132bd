// Files of a message: pictures as thumbnails of this node, all else as cards.
import { html } from '../../vendor/html.js';
import { useState } from '../../vendor/hooks.js';
import { store } from '../state.js';
import { safeName } from '../text.js';
import { Icon, memo, size } from './util.js';

/** The box of a thumbnail: it keeps its place before the picture is there. */
const THUMB = { width: 240, height: 160 };

/** @param {import('../types.js').FileInfo} file */
export const isPicture = (file) => /^image\/(png|jpeg|gif|webp)$/.test(file.mime_type) && !!file.has_preview_image;

/** @param {{file: import('../types.js').FileInfo, index: number, files: import('../types.js').FileInfo[]}} props */
function Thumb({ file, index, files }) {
  const [failed, setFailed] = useState(false);
  const width = file.width || THUMB.width;
  const height = file.height || THUMB.height;
  const scale = Math.min(1, THUMB.width / width, THUMB.height / height);
  if (failed) return html`<${FileCard} file=${file} />`;
  return html`<button class="thumb" aria-label=${`Picture ${file.name}, ${size(file.size)}: open`} onClick=${() => store.set({ sheet: { kind: 'picture', files, index } })}>
    <img src=${`/api/v4/files/${file.id}/preview`} alt="" onError=${() => setFailed(true)} loading="lazy" decoding="async" width=${Math.max(32, Math.round(width * scale))} height=${Math.max(32, Math.round(height * scale))} />
  </button>`;
}

/** @param {{file: import('../types.js').FileInfo}} props */
export function FileCard({ file }) {
  return html`<a class="file-card" href=${`/api/v4/files/${file.id}?download=1`} download=${file.name}><${Icon} name="file" /><span class="grow"><bdi class="ellipsis file-name" dir="auto">${safeName(file.name)}</bdi><span class="hint">${(file.extension || 'file').toUpperCase().slice(0, 8)} · ${size(file.size)}</span></span></a>`;
}

/** All files of a message. @param {{files: import('../types.js').FileInfo[]}} props */
function FilesView({ files }) {
  const pictures = files.filter(isPicture);
  return html`<div class="files">${pictures.map((file, index) => html`<${Thumb} key=${file.id} file=${file} index=${index} files=${pictures} />`)}${files.filter((it) => !isPicture(it)).map((file) => html`<${FileCard} key=${file.id} file=${file} />`)}</div>`;
}
export const Files = memo(FilesView);
