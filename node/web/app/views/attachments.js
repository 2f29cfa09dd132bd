// Files on their way to the node before the message is sent.
import { html } from '../../vendor/html.js';
import { useEffect, useRef, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { toast } from '../state.js';
import { safeName } from '../text.js';
import { Icon, size } from './util.js';

/** Files of one message: the node takes no more. */
const FILES_MOST = 10;

let nextUpload = 1;

/** Pictures of this browser's own disk, shown until they are sent: the node shows a file once it is posted. */
const PREVIEWS_MOST = 20;
/** @type {Map<string, string>} */
const previews = new Map();

/** @param {string} id @param {File} file */
function keepPreview(id, file) {
  if (!/^image\/(png|jpeg|gif|webp)$/.test(file.type)) return;
  previews.set(id, URL.createObjectURL(file));
  for (const [old, url] of previews) {
    if (previews.size <= PREVIEWS_MOST) break;
    URL.revokeObjectURL(url);
    previews.delete(old);
  }
}

/**
 * Uploads of one composer.
 * @param {string} channelId
 * @param {number} maxBytes
 * @param {number} held files that are there already
 * @param {(file: import('../types.js').FileInfo) => void} onDone
 */
export function useUploads(channelId, maxBytes, held, onDone) {
  const [list, setList] = useState(/** @type {{id: number, name: string, size: number, part: number, error: string, file: File, stop: AbortController}[]} */ ([]));
  const done = useRef(onDone);
  done.current = onDone;
  useEffect(() => () => setList([]), [channelId]);
  const change = (/** @type {number} */ id, /** @type {any} */ patch) => setList((all) => (patch === null ? all.filter((it) => it.id !== id) : all.map((it) => (it.id === id ? { ...it, ...patch } : it))));
  const begin = async (/** @type {any} */ upload) => {
    const tell = done.current;
    try {
      const told = await api.upload(channelId, upload.file, { signal: upload.stop.signal, onProgress: (part) => change(upload.id, { part }) });
      change(upload.id, null);
      keepPreview(told.file_infos[0].id, upload.file);
      tell(told.file_infos[0]);
    } catch (error) {
      if (upload.stop.signal.aborted) change(upload.id, null);
      else change(upload.id, { error: error instanceof Error ? error.message : String(error) });
    }
  };
  return {
    list,
    busy: list.some((it) => !it.error),
    add(/** @type {File[]} */ files) {
      const room = FILES_MOST - held - list.length;
      if (files.length > room) toast(`A message has ${FILES_MOST} files at most. Send the others with another one.`, { bad: true });
      const fits = files.slice(0, Math.max(0, room)).filter((file) => {
        if (file.size <= maxBytes && file.size > 0) return true;
        toast(file.size === 0 ? `${file.name} is empty, or a folder.` : `${file.name} has ${size(file.size)}; the node takes files of ${size(maxBytes)} at most.`, { bad: true });
        return false;
      });
      const uploads = fits.map((file) => ({ id: nextUpload++, name: file.name || 'pasted', size: file.size, part: 0, error: '', file, stop: new AbortController() }));
      setList((all) => [...all, ...uploads]);
      uploads.forEach(begin);
    },
    again(/** @type {number} */ id) {
      const upload = list.find((it) => it.id === id);
      if (!upload) return;
      change(id, { error: '', part: 0 });
      void begin({ ...upload, error: '' });
    },
    stop(/** @type {number} */ id) {
      list.find((it) => it.id === id)?.stop.abort();
      change(id, null);
    },
  };
}

/** A small picture of a file, where it is one that the node shows. @param {{file: import('../types.js').FileInfo}} props */
function Small({ file }) {
  const [failed, setFailed] = useState(false);
  const own = previews.get(file.id);
  return own && !failed ? html`<img src=${own} alt="" width="40" height="40" onError=${() => setFailed(true)} />` : html`<${Icon} name="file" />`;
}

/** What is attached, and what is on its way. @param {{files: import('../types.js').FileInfo[], uploads: ReturnType<typeof useUploads>, onRemove: (id: string) => void}} props */
export function Attachments({ files, uploads, onRemove }) {
  if (files.length === 0 && uploads.list.length === 0) return null;
  return html`<ul class="plain attachments" aria-label="Attached files">
    ${files.map((file) => html`<li key=${file.id} class="attachment"><${Small} file=${file} /><span class="grow"><bdi class="ellipsis file-name" dir="auto">${safeName(file.name)}</bdi><span class="hint">${size(file.size)}</span></span><button type="button" class="icon-button" aria-label=${`Take ${file.name} off`} onClick=${() => onRemove(file.id)}><${Icon} name="close" /></button></li>`)}
    ${uploads.list.map((it) => html`<li key=${it.id} class=${`attachment ${it.error ? 'failed' : ''}`}><${Icon} name=${it.error ? 'alert' : 'file'} /><span class="grow"><bdi class="ellipsis file-name" dir="auto">${safeName(it.name)}</bdi>${it.error ? html`<span class="error-text" role="alert">${it.error}</span>` : html`<progress max="1" value=${it.part} aria-label=${`${it.name}: sent to the node`}></progress>`}</span>${it.error && html`<button type="button" class="button" onClick=${() => uploads.again(it.id)}>Again</button>`}<button type="button" class="icon-button" aria-label=${`Stop ${it.name}`} onClick=${() => uploads.stop(it.id)}><${Icon} name="close" /></button></li>`)}
  </ul>`;
}
