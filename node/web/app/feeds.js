// Posts that are loaded: of each channel one stretch, of an open thread all. Views watch one feed.
import { api } from './api.js';
import { createStore } from './store.js';
import { store } from './state.js';
import { wantUser } from './people.js';
import { append, firstUnread, joinLatest, joinNewer, joinOlder, NOTHING, PAGE, remove, slipIn, trim } from './timeline.js';

/** Channels whose posts stay loaded: going back to one of the last shows it at once. */
const FEEDS_MOST = 8;
/** Posts of a feed that nobody looks at. */
const RESTING_MOST = 200;
/** What changed while nobody listened is asked for in one answer of at most so many posts; with more, all is loaded anew. */
const CHANGED_MOST = 1_000;
/** Posts that slip in at once and are placed one by one; with more the newest page is asked for. */
const PLACED_MOST = 6;

/**
 * @typedef {import('./types.js').Post} Post
 * @typedef {{stretch: import('./timeline.js').Stretch, version: number, loading: '' | 'older' | 'newer' | 'all', error: string, unreadId: string, loaded: boolean, heardMs: number}} FeedState
 * @typedef {{key: string, channelId: string, rootId: string, posts: Map<string, Post>, state: ReturnType<typeof createStore<FeedState>>, usedMs: number, slipping: Set<string>}} Feed
 */

/** Answers that were counted: one comes as an answer to its request and as an event. */
const COUNTED_MOST = 500;
/** @type {Set<string>} */
const counted = new Set();

/** @type {Map<string, Feed>} */
const feeds = new Map();

/**
 * The feed of a channel, or of a thread.
 * @param {string} channelId
 * @param {string} [rootId]
 * @returns {Feed}
 */
export function feedOf(channelId, rootId = '') {
  const key = rootId || channelId;
  let feed = feeds.get(key);
  if (!feed) {
    /** @type {FeedState} */
    const state = { stretch: NOTHING, version: 0, loading: '', error: '', unreadId: '', loaded: false, heardMs: 0 };
    feed = { key, channelId, rootId, posts: new Map(), state: createStore(state), usedMs: 0, slipping: new Set() };
    feeds.set(key, feed);
  }
  feed.usedMs = performance.now();
  if (feeds.size > FEEDS_MOST) rest();
  return feed;
}

/** Forgets feeds that were not looked at for longest, and most posts of the others that nobody sees. */
function rest() {
  const { channelId, pane } = store.get();
  const resting = [...feeds.values()].filter((it) => it.key !== channelId && it.key !== pane?.id).sort((one, other) => one.usedMs - other.usedMs);
  for (const feed of resting.slice(0, Math.max(0, feeds.size - FEEDS_MOST))) feeds.delete(feed.key);
  for (const feed of resting) {
    if (feed.rootId || feed.state.get().stretch.ids.length <= RESTING_MOST) continue;
    change(feed, (stretch) => trim(stretch, stretch.hasNewer ? 'newer' : 'older', RESTING_MOST));
  }
}

/** Forgets all posts. */
export function dropFeeds() {
  feeds.clear();
}

/**
 * A post that some feed holds.
 * @param {string} id
 * @returns {Post | undefined}
 */
export function knownPost(id) {
  for (const feed of feeds.values()) {
    const post = feed.posts.get(id);
    if (post) return post;
  }
  return undefined;
}

/** @param {Feed} feed @param {(stretch: import('./timeline.js').Stretch) => import('./timeline.js').Stretch} make @param {Partial<FeedState>} [more] */
function change(feed, make, more = {}) {
  const state = feed.state.get();
  const stretch = make(state.stretch);
  if (stretch !== state.stretch && feed.posts.size > stretch.ids.length + PAGE) {
    const kept = new Set(stretch.ids);
    for (const id of feed.posts.keys()) if (!kept.has(id)) feed.posts.delete(id);
  }
  feed.state.set({ ...more, stretch, version: state.version + 1 });
}

/** @param {Feed} feed @param {import('./types.js').PostList} list @returns {string[]} oldest first */
function learn(feed, list) {
  const ids = [];
  for (const id of [...list.order].reverse()) {
    const post = list.posts[id];
    if (!post || post.delete_at) continue;
    feed.posts.set(id, newer(feed.posts.get(id), post));
    wantUser(post.user_id);
    ids.push(id);
  }
  return ids;
}

/** @param {Post | undefined} held @param {Post} post */
function newer(held, post) {
  return held && JSON.stringify(held) === JSON.stringify(post) ? held : post;
}

/** @param {Feed} feed @param {'older' | 'newer' | 'all'} what @param {() => Promise<void>} work */
async function loading(feed, what, work) {
  if (feed.state.get().loading) return;
  feed.state.set({ loading: what, error: '' });
  try {
    await work();
  } catch (error) {
    feed.state.set({ error: error instanceof Error ? error.message : String(error) });
  } finally {
    feed.state.set({ loading: '' });
  }
}

const postsPath = (/** @type {string} */ channel, /** @type {string} */ query) => `/api/v4/channels/${channel}/posts?per_page=${PAGE}&${query}`;

/**
 * Loads a channel's posts around the first unread one, or the newest.
 * @param {Feed} feed
 * @param {{unread?: boolean}} [how]
 */
export function loadFeed(feed, how = {}) {
  return loading(feed, 'all', async () => {
    const { me, members } = store.get();
    if (feed.rootId) {
      const list = await api.get(`/api/v4/posts/${feed.rootId}/thread`);
      const ids = learn(feed, list);
      const first = ids.find((id) => !feed.posts.get(id)?.root_id);
      if (first) feed.channelId = feed.posts.get(first)?.channel_id ?? feed.channelId;
      change(feed, () => ({ ids, hasOlder: false, hasNewer: false }), { loaded: true, heardMs: Date.now() });
      return;
    }
    const viewed = members[feed.channelId]?.last_viewed_at ?? 0;
    const asked = Date.now();
    const list = how.unread
      ? await api.get(`/api/v4/users/me/channels/${feed.channelId}/posts/unread?limit_before=${PAGE}&limit_after=${PAGE}`)
      : await api.get(postsPath(feed.channelId, ''));
    const ids = learn(feed, list);
    change(feed, () => ({ ids, hasOlder: list.prev_post_id !== '', hasNewer: list.next_post_id !== '' }), {
      loaded: true,
      heardMs: asked,
      unreadId: how.unread ? firstUnread(ids, (id) => feed.posts.get(id), viewed, me?.id ?? '') : '',
    });
  });
}

/**
 * Somebody comes back to posts that are loaded: the line of what is unread is drawn anew.
 * @param {Feed} feed
 */
export function enterFeed(feed) {
  const { me, members, channels } = store.get();
  const member = members[feed.channelId];
  const channel = channels[feed.channelId];
  const { stretch } = feed.state.get();
  const unread = !!member && !!channel && channel.total_msg_count > member.msg_count;
  feed.state.set({ unreadId: unread ? firstUnread(stretch.ids, (id) => feed.posts.get(id), member.last_viewed_at, me?.id ?? '') : '' });
}

/**
 * Loads a page of older posts.
 * @param {Feed} feed
 */
export function loadOlder(feed) {
  const { stretch } = feed.state.get();
  if (!stretch.hasOlder || stretch.ids.length === 0) return;
  return loading(feed, 'older', async () => {
    const list = await api.get(postsPath(feed.channelId, `before=${stretch.ids[0]}`));
    const ids = learn(feed, list);
    change(feed, (held) => trim(joinOlder(held, ids, list.prev_post_id !== '' && list.order.length > 0), 'newer'));
  });
}

/**
 * Loads a page of newer posts.
 * @param {Feed} feed
 */
export function loadNewer(feed) {
  const { stretch } = feed.state.get();
  if (!stretch.hasNewer || stretch.ids.length === 0) return;
  return loading(feed, 'newer', async () => {
    const list = await api.get(postsPath(feed.channelId, `after=${stretch.ids[stretch.ids.length - 1]}`));
    const ids = learn(feed, list);
    change(feed, (held) => trim(joinNewer(held, ids, list.next_post_id !== ''), 'older'));
  });
}

/**
 * Loads the newest posts, wherever one was.
 * @param {Feed} feed
 */
export function loadNewest(feed) {
  return loading(feed, 'all', async () => {
    const list = await api.get(postsPath(feed.channelId, ''));
    const ids = learn(feed, list);
    change(feed, (held) => joinLatest(held, ids, list.prev_post_id !== ''), { loaded: true });
  });
}

/**
 * Loads posts around one, for following a link to it.
 * @param {Feed} feed
 * @param {string} postId
 */
export async function loadAround(feed, postId) {
  if (feed.state.get().stretch.ids.includes(postId)) return true;
  let found = false;
  await loading(feed, 'all', async () => {
    const [before, post, after] = await Promise.all([
      api.get(postsPath(feed.channelId, `before=${postId}`)),
      api.get(`/api/v4/posts/${postId}`),
      api.get(postsPath(feed.channelId, `after=${postId}`)),
    ]);
    const older = learn(feed, before);
    learn(feed, { order: [post.id], posts: { [post.id]: post }, next_post_id: '', prev_post_id: '' });
    const later = learn(feed, after);
    change(feed, () => ({ ids: [...older, post.id, ...later], hasOlder: before.prev_post_id !== '', hasNewer: after.next_post_id !== '' }), { loaded: true, heardMs: Date.now() });
    found = true;
  });
  return found;
}

/** @param {Post} post @returns {Feed[]} */
function holders(post) {
  return [feeds.get(post.channel_id), feeds.get(post.root_id || post.id)].filter((it) => it !== undefined && it.state.get().loaded).map((it) => /** @type {Feed} */ (it));
}

/**
 * A post has come.
 * @param {Post} post
 */
export function takePosted(post) {
  wantUser(post.user_id);
  for (const feed of holders(post)) {
    const { stretch } = feed.state.get();
    if (stretch.ids.includes(post.id)) {
      if (!feed.posts.get(post.id)) feed.posts.set(post.id, post);
      continue;
    }
    const last = feed.posts.get(stretch.ids[stretch.ids.length - 1] ?? '');
    const inOrder = !post.props.comity_late && (!last || post.create_at >= last.create_at);
    if (inOrder || feed.rootId) {
      if (!stretch.hasNewer) feed.posts.set(post.id, post);
      change(feed, (held) => trim(append(held, post.id), 'older'));
    } else {
      place(feed, post);
    }
  }
  if (post.root_id && !counted.has(post.id)) {
    counted.add(post.id);
    if (counted.size > COUNTED_MOST) counted.delete(/** @type {string} */ (counted.values().next().value));
    patchPost(post.root_id, (root) => ({ ...root, reply_count: root.reply_count + 1, last_reply_at: post.create_at }));
  }
}

/** Asks the node where a post stands that came out of turn. @param {Feed} feed @param {Post} post */
async function place(feed, post) {
  feed.slipping.add(post.id);
  if (feed.slipping.size > PLACED_MOST) {
    feed.slipping.clear();
    await loadNewest(feed);
    return;
  }
  try {
    const list = await api.get(`/api/v4/channels/${feed.channelId}/posts?per_page=1&include_deleted=true&before=${post.id}`);
    if (!feed.slipping.delete(post.id)) return;
    feed.posts.set(post.id, feed.posts.get(post.id) ?? post);
    change(feed, (held) => slipIn(held, post.id, list.order[0] ?? ''));
  } catch {
    feed.slipping.delete(post.id);
  }
}

/**
 * A post is otherwise than before.
 * @param {Post} post
 */
export function takeEdited(post) {
  if (post.delete_at) takeDeleted(post);
  else patchPost(post.id, () => post);
}

/**
 * A post was withdrawn.
 * @param {Post} post
 */
export function takeDeleted(post) {
  for (const feed of holders(post)) {
    feed.posts.delete(post.id);
    change(feed, (held) => remove(held, post.id));
  }
  if (post.root_id) patchPost(post.root_id, (root) => ({ ...root, reply_count: Math.max(0, root.reply_count - 1) }));
}

/**
 * Changes a post wherever it is held.
 * @param {string} id
 * @param {(post: Post) => Post} make
 */
export function patchPost(id, make) {
  for (const feed of feeds.values()) {
    const held = feed.posts.get(id);
    if (!held) continue;
    feed.posts.set(id, make(held));
    feed.state.set({ version: feed.state.get().version + 1 });
  }
}

/**
 * A reaction was given or taken back.
 * @param {import('./types.js').Reaction} reaction
 * @param {boolean} given
 */
export function takeReaction(reaction, given) {
  const same = (/** @type {import('./types.js').Reaction} */ it) => it.user_id === reaction.user_id && it.emoji_name === reaction.emoji_name;
  patchPost(reaction.post_id, (post) => {
    const rest = (post.metadata.reactions ?? []).filter((it) => !same(it));
    return { ...post, metadata: { ...post.metadata, reactions: given ? [...rest, reaction] : rest } };
  });
}

/** Brings what changed while nobody listened; what nobody looks at is loaded anew when it is shown. */
export async function refreshFeeds() {
  const { channelId, pane } = store.get();
  for (const feed of [...feeds.values()]) {
    if (feed.key !== channelId && feed.key !== pane?.id) {
      feeds.delete(feed.key);
      continue;
    }
    if (feed.rootId) {
      await loadFeed(feed);
      continue;
    }
    const since = Math.max(1, feed.state.get().heardMs - 5_000);
    const asked = Date.now();
    try {
      const list = await api.get(`/api/v4/channels/${feed.channelId}/posts?since=${since}`);
      if (list.order.length < CHANGED_MOST) {
        for (const id of list.order) if (feed.posts.has(id)) takeEdited(list.posts[id]);
      } else {
        feed.posts.clear();
      }
    } catch {
      // The newest page below says what is wrong.
    }
    if (!feed.state.get().stretch.hasNewer) await loadNewest(feed);
    feed.state.set({ heardMs: asked });
  }
}
