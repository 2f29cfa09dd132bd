// The people of a channel, and leaving it.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { navigate, store, toastError, useStore } from '../state.js';
import { learnUsers, wantStatuses } from '../people.js';
import { Avatar, Name } from './names.js';
import { closeSheet, Sheet } from './sheet.js';
import { PeoplePicker } from './new.js';

/** People that are listed at a time. */
const PAGE = 60;

/** @param {{channelId: string}} props */
export function MembersSheet({ channelId }) {
  const channel = useStore((state) => state.channels[channelId]);
  const statuses = useStore((state) => state.statuses);
  const users = useStore((state) => state.users);
  const muted = useStore((state) => state.members[channelId]?.notify_props?.mark_unread === 'mention');
  const me = useStore((state) => state.me?.id ?? '');
  const [ids, setIds] = useState(/** @type {string[]} */ ([]));
  const [page, setPage] = useState(0);
  const [more, setMore] = useState(false);
  const [adding, setAdding] = useState(false);
  useEffect(() => {
    let gone = false;
    api.get(`/api/v4/users?in_channel=${channelId}&page=${page}&per_page=${PAGE}`).then((list) => {
      if (gone) return;
      learnUsers(list);
      wantStatuses(list.map((/** @type {any} */ it) => it.id));
      setIds((all) => [...new Set([...all, ...list.map((/** @type {any} */ it) => it.id)])]);
      setMore(list.length === PAGE);
    }, (error) => toastError(error));
    return () => {
      gone = true;
    };
  }, [channelId, page]);
  const mute = async () => {
    try {
      await api.put(`/api/v4/channels/${channelId}/members/me/notify_props`, { user_id: me, channel_id: channelId, mark_unread: muted ? 'all' : 'mention' });
      store.set((state) => ({ members: { ...state.members, [channelId]: { ...state.members[channelId], notify_props: { ...state.members[channelId]?.notify_props, mark_unread: muted ? 'all' : 'mention' } } } }));
    } catch (error) {
      toastError(error);
    }
  };
  const leave = () => store.set({ sheet: { kind: 'confirm', title: 'Leave this channel?', text: 'You no longer see what is written there. You can join it again where it is open to you.', verb: 'Leave', danger: true, run: async () => {
    await api.del(`/api/v4/channels/${channelId}/members/${me}`);
    store.set((state) => {
      const channels = { ...state.channels };
      delete channels[channelId];
      return { channels, channelId: '' };
    });
    navigate('/');
  } } });
  const add = async (/** @type {string[]} */ chosen) => {
    try {
      for (const id of chosen) await api.post(`/api/v4/channels/${channelId}/members`, { user_id: id });
      setIds((all) => [...new Set([...all, ...chosen])]);
      setAdding(false);
    } catch (error) {
      toastError(error, 'Not added');
    }
  };
  if (!channel) return null;
  const direct = channel.type === 'D' || channel.type === 'G';
  return html`<${Sheet} title="People here" test="members-sheet">
    <div class="row"><button class="button" aria-pressed=${muted} onClick=${mute}>${muted ? 'Muted: unmute' : 'Mute'}</button>${!direct && html`<button class="button" onClick=${() => setAdding(!adding)}>Add somebody</button><button class="button danger" onClick=${leave}>Leave</button>`}</div>
    ${adding && html`<${PeoplePicker} most=${20} own verb="Add" onDone=${add} />`}
    <ul class="plain people">${ids.map((id) => html`<li key=${id}><button class="person-row" onClick=${() => store.set({ sheet: { kind: 'person', id } })}><${Avatar} user=${users[id]} small status=${statuses[id] ?? 'offline'} /><${Name} id=${id} /></button></li>`)}</ul>
    ${more && html`<button class="button" onClick=${() => setPage(page + 1)}>Show more</button>`}
    <div class="row sheet-foot"><button class="button" onClick=${closeSheet}>Close</button></div>
  <//>`;
}
