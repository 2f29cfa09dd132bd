// Notifications of the system: asked for on a click, without markup, for mentions and direct messages.
import { navigate, store } from './state.js';
import { displayName } from './people.js';

/** Characters of a message that a notification shows. */
const BODY_MOST = 180;

/** Whether notifications can be had, are had, or were refused. */
export function notifyState() {
  if (!('Notification' in window)) return 'unsupported';
  if (Notification.permission === 'granted' && localStorage.getItem('comity.notify') !== 'off') return 'on';
  return Notification.permission === 'denied' ? 'denied' : 'off';
}

/** Asks for leave to notify, or switches it off again. Only on a click. @param {boolean} on */
export async function switchNotify(on) {
  localStorage.setItem('comity.notify', on ? 'on' : 'off');
  if (on && 'Notification' in window && Notification.permission === 'default') await Notification.requestPermission();
  return notifyState();
}

/**
 * Tells of a message that concerns this person.
 * @param {import('./types.js').Post} post
 * @param {import('./types.js').Channel | undefined} channel
 */
export async function notify(post, channel) {
  if (notifyState() !== 'on') return;
  const { users, statuses, me } = store.get();
  if (me && statuses[me.id] === 'dnd') return;
  const who = users[post.user_id];
  const { plainText } = await import('../text/plain.js');
  const where = channel && channel.type !== 'D' ? ` in ${channel.display_name}` : '';
  const note = new Notification(`${displayName(who)} (${who?.username ?? ''})${where}`, { body: plainText(post.message, BODY_MOST), tag: post.id });
  note.onclick = () => {
    window.focus();
    navigate(`/post/${post.id}`);
    note.close();
  };
}
