// The chat's screen: channels, the messages of one, and what lies beside or over it.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { api } from '../api.js';
import { store, useStore } from '../state.js';
import { leftChannel, unreadOf } from '../marks.js';
import { reconnect } from '../chat.js';
import { Sidebar } from './sidebar.js';
import { ChannelView } from './channel.js';
import { ThreadPane } from './thread.js';
import { Lazy } from './page.js';
import { onShortcut } from '../shortcuts.js';

const loadSheets = /** @type {Record<string, [() => Promise<any>, string]>} */ ({
  who: [() => import('./who.js'), 'WhoSheet'],
  confirm: [() => import('./confirm.js'), 'ConfirmSheet'],
  history: [() => import('./history.js'), 'HistorySheet'],
  react: [() => import('./picker.js'), 'ReactSheet'],
  emoji: [() => import('./picker.js'), 'EmojiSheet'],
  person: [() => import('./person.js'), 'PersonSheet'],
  members: [() => import('./members.js'), 'MembersSheet'],
  settings: [() => import('./settings.js'), 'SettingsSheet'],
  new: [() => import('./new.js'), 'NewSheet'],
  switcher: [() => import('./switcher.js'), 'Switcher'],
  help: [() => import('./help.js'), 'HelpSheet'],
  picture: [() => import('./picture.js'), 'PictureSheet'],
});
const loadSearch = () => import('./search.js');

/** Whatever lies over the page. */
function OpenSheet() {
  const sheet = useStore((state) => state.sheet);
  const known = sheet && loadSheets[sheet.kind];
  if (!sheet || !known) return null;
  return html`<${Lazy} key=${sheet.kind} load=${known[0]} name=${known[1]} ...${sheet} />`;
}

/** Says that the node is not reached, and when it is tried again. */
function ConnectionBanner() {
  const connection = useStore((state) => state.connection);
  const waiting = useStore((state) => state.outbox.length);
  const [shown, setShown] = useState(false);
  const lost = connection.state !== 'open' && connection.state !== 'off';
  useEffect(() => {
    // A line that is back within a moment is nobody's concern.
    const timer = setTimeout(() => setShown(lost), lost ? 1_500 : 0);
    return () => clearTimeout(timer);
  }, [lost]);
  if (!shown || !lost) return null;
  return html`<div class="connection" data-test="connection-banner" role="status"><span>The node is not reached. ${connection.state === 'connecting' ? 'Trying now…' : 'It is tried again by itself.'} ${waiting > 0 ? `${waiting} ${waiting === 1 ? 'message waits' : 'messages wait'} and will be sent.` : 'What you write is kept and sent then.'}</span><button class="button" onClick=${reconnect}>Try now</button></div>`;
}

/** Finds the channel of a post, for links to it. @param {import('../types.js').Route} route */
function useWhere(route) {
  const [where, setWhere] = useState(/** @type {{id: string, channelId: string, rootId: string, missing: boolean} | null} */ (null));
  useEffect(() => {
    if (route.name !== 'post' && route.name !== 'thread') return undefined;
    let gone = false;
    api.get(`/api/v4/posts/${route.id}`).then(
      (post) => !gone && setWhere({ id: route.id, channelId: post.channel_id, rootId: post.root_id, missing: false }),
      () => !gone && setWhere({ id: route.id, channelId: '', rootId: '', missing: true }),
    );
    return () => {
      gone = true;
    };
  }, [route.name, route.id]);
  return where?.id === route.id ? where : null;
}

/** The page's title: where one is, and what is unread. */
function useTitle(/** @type {string} */ channelId) {
  const mentions = useStore((state) => Object.values(state.channels).reduce((sum, it) => sum + unreadOf(it, state.members[it.id]).mentions, 0));
  const unread = useStore((state) => Object.values(state.channels).some((it) => unreadOf(it, state.members[it.id]).unread > 0));
  const name = useStore((state) => state.channels[channelId]?.display_name ?? '');
  const own = useStore((state) => state.partner);
  useEffect(() => {
    document.title = `${mentions > 0 ? `(${mentions}) ` : unread ? '• ' : ''}${name ? `${name} · ` : ''}Comity: ${own}`;
  }, [mentions, unread, name, own]);
}

/** The chat's screen. */
export function Chat() {
  const route = useStore((state) => state.route);
  const pane = useStore((state) => state.pane);
  const last = useStore((state) => state.channelId);
  const channels = useStore((state) => state.channels);
  const where = useWhere(route);
  const narrow = useNarrow();
  useEffect(() => {
    document.addEventListener('keydown', onShortcut);
    return () => document.removeEventListener('keydown', onShortcut);
  }, []);
  let channelId = '';
  let targetId = '';
  let threadId = '';
  if (route.name === 'channel') channelId = route.id;
  else if (where && !where.missing) {
    channelId = where.channelId;
    if (route.name === 'post') targetId = where.id;
    else threadId = where.rootId || where.id;
  } else if (route.name === 'post' || route.name === 'thread') channelId = where?.missing ? '' : last;
  else if (!narrow) channelId = last && channels[last] ? last : firstChannel(channels);
  useEffect(() => {
    if (!channelId) return;
    if (channelId !== store.get().channelId) leftChannel();
    store.set({ channelId });
    try {
      localStorage.setItem('comity.last', channelId);
    } catch {
      // Then the first channel is shown next time.
    }
  }, [channelId]);
  useEffect(() => {
    // Search and pins are of the channel that one looks at.
    if (threadId) store.set({ pane: { kind: 'thread', id: threadId } });
    else if (store.get().pane?.kind === 'thread') store.set({ pane: null });
  }, [threadId]);
  useTitle(channelId);
  const atList = !channelId;
  const side = pane && pane.kind !== 'thread' ? pane : null;
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => (event.preventDefault(), /** @type {HTMLElement | null} */ (document.querySelector('[name=message]'))?.focus())}>To the composer</a>
  <div class=${`chat ${atList ? 'at-list' : 'at-channel'} ${threadId || side ? 'with-pane' : ''}`}>
    <${ConnectionBanner} />
    <${Sidebar} />
    ${where?.missing ? html`<main class="main centre"><h1>Not found</h1><p>That message does not exist, was withdrawn, or is not for you.</p><a class="button" href="/">To your channels</a></main>` : channelId ? html`<${ChannelView} key=${channelId} id=${channelId} targetId=${targetId} />` : html`<main class="main centre not-phone"><h1>${Object.keys(channels).length > 0 ? 'Choose a channel' : 'No channels yet'}</h1><p>${Object.keys(channels).length > 0 ? 'They are listed beside.' : 'You are in no channel. Make one with +, or look at the console.'}</p></main>`}
    ${threadId && channelId && !side && html`<${ThreadPane} key=${threadId} rootId=${threadId} channelId=${channelId} />`}
    ${side && html`<${Lazy} key=${side.kind} load=${loadSearch} name=${side.kind === 'pins' ? 'PinsPane' : 'SearchPane'} channelId=${channelId || side.id} />`}
  </div>
  <${OpenSheet} />`;
}

/** @param {Record<string, import('../types.js').Channel>} channels */
function firstChannel(channels) {
  let kept = '';
  try {
    kept = localStorage.getItem('comity.last') ?? '';
  } catch {
    kept = '';
  }
  if (channels[kept]) return kept;
  const all = Object.values(channels).sort((one, other) => Number(other.shared) - Number(one.shared) || other.last_post_at - one.last_post_at);
  return all[0]?.id ?? '';
}

/** Whether there is room for one column only. */
function useNarrow() {
  const query = '(max-width: 720px)';
  const [narrow, setNarrow] = useState(matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const look = () => setNarrow(media.matches);
    media.addEventListener('change', look);
    return () => media.removeEventListener('change', look);
  }, []);
  return narrow;
}

