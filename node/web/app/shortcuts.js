// Keys that work everywhere.
import { navigate, store } from './state.js';
import { unreadOf } from './marks.js';

/** What is listed in the help sheet. */
export const SHORTCUTS = [
  { keys: ['Ctrl', 'K'], what: 'Switch to a channel or person' },
  { keys: ['Ctrl', 'Shift', 'F'], what: 'Search messages' },
  { keys: ['Ctrl', '/'], what: 'This help' },
  { keys: ['Alt', '↑'], what: 'Previous channel' },
  { keys: ['Alt', '↓'], what: 'Next channel' },
  { keys: ['Alt', 'Shift', '↑'], what: 'Previous unread channel' },
  { keys: ['Alt', 'Shift', '↓'], what: 'Next unread channel' },
  { keys: ['Esc'], what: 'Close the sheet, the search or the thread' },
  { keys: ['Enter'], what: 'Send' },
  { keys: ['Shift', 'Enter'], what: 'Begin a line' },
  { keys: ['↑'], what: 'Edit your last message, in an empty composer' },
  { keys: ['↑', '↓'], what: 'Go from message to message, in the list of messages' },
  { keys: ['@', '~', ':'], what: 'Suggest people, channels, emoji' },
];

/** @param {number} step @param {boolean} unreadOnly */
function go(step, unreadOnly) {
  const { channels, members, channelId } = store.get();
  const links = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-test=channel-link]'))];
  const ids = links.map((it) => it.dataset.channel ?? '');
  const now = ids.indexOf(channelId);
  for (let count = 1; count <= ids.length; count += 1) {
    const id = ids[(now + step * count + ids.length * 2) % ids.length];
    const { unread, mentions } = unreadOf(channels[id], members[id]);
    if (!unreadOnly || unread > 0 || mentions > 0) {
      if (id !== channelId) navigate(`/channel/${id}`);
      return;
    }
  }
}

/**
 * Does what a key means, unless something else took it.
 * @param {KeyboardEvent} event
 */
export function onShortcut(event) {
  if (event.defaultPrevented || event.isComposing) return;
  const command = event.ctrlKey || event.metaKey;
  const { sheet, pane, channelId } = store.get();
  if (command && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') store.set({ sheet: { kind: 'switcher' } });
  else if (command && event.key === '/') store.set({ sheet: sheet?.kind === 'help' ? null : { kind: 'help' } });
  else if (command && event.shiftKey && event.key.toLowerCase() === 'f') store.set({ pane: { kind: 'search', id: channelId } });
  else if (event.altKey && !command && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) go(event.key === 'ArrowUp' ? -1 : 1, event.shiftKey);
  else if (event.key === 'Escape' && !sheet && pane) {
    if (pane.kind === 'thread') navigate(`/channel/${channelId}`);
    else store.set({ pane: null });
  } else return;
  event.preventDefault();
}
