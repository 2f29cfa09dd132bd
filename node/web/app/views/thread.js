// A thread beside its channel.
import { html } from '../../vendor/html.js';
import { useEffect, useReducer } from '../../vendor/hooks.js';
import { navigate, store, useStore } from '../state.js';
import { feedOf } from '../feeds.js';
import { Timeline } from './timeline.js';
import { Composer } from './composer.js';
import { TypingLine } from './channel.js';
import { Icon } from './util.js';

/** @param {{rootId: string, channelId: string}} props */
export function ThreadPane({ rootId, channelId }) {
  const feed = feedOf(channelId, rootId);
  const name = useStore((state) => state.channels[channelId]?.display_name ?? '');
  const [, redraw] = useReducer((/** @type {number} */ it) => it + 1, 0);
  useEffect(() => feed.state.subscribe(() => redraw(0)), [feed]);
  const root = feed.posts.get(rootId);
  const close = () => navigate(`/channel/${channelId}`);
  return html`<aside class="pane" data-test="thread-pane" aria-label="Thread">
    <header class="pane-head"><button class="icon-button only-phone" aria-label="Back to the channel" onClick=${close}><${Icon} name="back" /></button><h2 class="grow">Thread <bdi class="hint">${name}</bdi></h2><button class="icon-button" aria-label="Who can see this thread" title="Who can see this thread" onClick=${() => store.set({ sheet: { kind: 'who', postId: rootId } })}><${Icon} name="eye" /></button><button class="icon-button not-phone" aria-label="Close the thread" onClick=${close}><${Icon} name="close" /></button></header>
    <${Timeline} key=${rootId} feed=${feed} targetId="" inThread />
    <${TypingLine} channelId=${channelId} rootId=${rootId} />
    ${(root || !feed.state.get().loaded) && html`<${Composer} key=${`c${rootId}`} channelId=${channelId} rootId=${rootId} autofocus />`}
  </aside>`;
}
