// What a message said before it was edited, as far as the node tells.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api, ApiError } from '../api.js';
import { Sheet } from './sheet.js';
import { moment } from './util.js';

/** @param {{post: import('../types.js').Post}} props */
export function HistorySheet({ post }) {
  const [list, setList] = useState(/** @type {import('../types.js').Post[] | null} */ (null));
  const [error, setError] = useState('');
  useEffect(() => {
    api.get(`/api/v4/posts/${post.id}/edit_history`).then(setList, (problem) => setError(problem instanceof ApiError && problem.status === 404 ? 'This node does not tell what the message said before.' : problem.message));
  }, [post.id]);
  return html`<${Sheet} title="Edits"><p class="hint">Last edited ${moment(post.edit_at)}.</p>${error && html`<p role="status">${error}</p>`}${list && html`<ol class="plain versions">${list.map((it) => html`<li key=${it.id}><time class="hint">${moment(it.edit_at || it.update_at || it.create_at)}</time><p dir="auto" class="plain-text">${it.message}</p></li>`)}</ol>`}<//>`;
}
