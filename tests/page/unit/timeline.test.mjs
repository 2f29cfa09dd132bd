import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, firstUnread, joinLatest, joinNewer, joinOlder, NOTHING, remove, slipIn, trim } from '../../../node/web/app/timeline.js';
import { around, down, hold, shown, SHOWN_MOST, STEP, up } from '../../../node/web/app/window.js';

const ids = (from, count) => Array.from({ length: count }, (_, at) => `p${String(from + at).padStart(6, '0')}`);
const whole = (list) => ({ ids: list, hasOlder: false, hasNewer: false });

test('older pages come before, newer ones after, and nothing twice', () => {
  let stretch = { ids: ['c', 'd'], hasOlder: true, hasNewer: true };
  stretch = joinOlder(stretch, ['a', 'b', 'c'], false);
  stretch = joinNewer(stretch, ['d', 'e'], false);
  assert.deepEqual(stretch, whole(['a', 'b', 'c', 'd', 'e']));
});

test('a new post is appended once, and only where the newest posts are loaded', () => {
  assert.deepEqual(append(whole(['a']), 'b').ids, ['a', 'b']);
  assert.deepEqual(append(whole(['a', 'b']), 'b').ids, ['a', 'b']);
  assert.deepEqual(append({ ...NOTHING, ids: ['a'] }, 'b').ids, ['a']);
});

test('a late post slips in after the one before it', () => {
  assert.deepEqual(slipIn(whole(['a', 'b', 'd']), 'c', 'b').ids, ['a', 'b', 'c', 'd']);
  assert.deepEqual(slipIn(whole(['b']), 'a', '').ids, ['a', 'b']);
  assert.deepEqual(slipIn({ ...whole(['b']), hasOlder: true }, 'a', '').ids, ['b'], 'its place is not loaded');
  assert.deepEqual(slipIn(whole(['b']), 'a', 'unknown').ids, ['b']);
  assert.deepEqual(slipIn(whole(['a', 'c', 'b']), 'c', 'b').ids, ['a', 'b', 'c'], 'it moves');
});

test('the latest page joins what it meets, in its own order', () => {
  const joined = joinLatest({ ids: ['a', 'b', 'c'], hasOlder: true, hasNewer: false }, ['b', 'x', 'c', 'd'], true);
  assert.deepEqual(joined, { ids: ['a', 'b', 'x', 'c', 'd'], hasOlder: true, hasNewer: false });
});

test('the latest page replaces what it does not meet: no gap is hidden', () => {
  const joined = joinLatest({ ids: ['a', 'b'], hasOlder: true, hasNewer: false }, ['x', 'y'], true);
  assert.deepEqual(joined, { ids: ['x', 'y'], hasOlder: true, hasNewer: false });
});

test('trimming forgets the far end and knows that there is more', () => {
  assert.deepEqual(trim(whole(['a', 'b', 'c']), 'older', 2), { ids: ['b', 'c'], hasOlder: true, hasNewer: false });
  assert.deepEqual(trim(whole(['a', 'b', 'c']), 'newer', 2), { ids: ['a', 'b'], hasOlder: false, hasNewer: true });
  assert.deepEqual(remove(whole(['a', 'b']), 'a').ids, ['b']);
});

test('unread begins at the first post of somebody else after the last look', () => {
  const posts = { a: { create_at: 1, user_id: 'x' }, b: { create_at: 5, user_id: 'me' }, c: { create_at: 6, user_id: 'x' } };
  assert.equal(firstUnread(['a', 'b', 'c'], (id) => posts[id], 3, 'me'), 'c');
  assert.equal(firstUnread(['a', 'b', 'c'], (id) => posts[id], 6, 'me'), '');
  assert.equal(firstUnread(['a', 'b', 'c'], (id) => posts[id], 0, 'me'), '', 'a first visit has no unread line');
});

test('the window holds a bounded number of posts wherever it is', () => {
  const all = ids(0, 100_000);
  let window = { first: '' };
  assert.deepEqual(shown(all, window), { start: 100_000 - SHOWN_MOST, end: 100_000 });
  for (let step = 0; step < 100; step += 1) window = up(all, window);
  const { start, end } = shown(all, window);
  assert.equal(end - start, SHOWN_MOST);
  assert.equal(start, 100_000 - SHOWN_MOST - 100 * STEP);
  for (let step = 0; step < 200; step += 1) window = down(all, window);
  assert.equal(window.first, '', 'at the end it follows it');
});

test('the window stays where it is when posts come before or after it', () => {
  const all = ids(1_000, 500);
  let window = up(all, hold(all, { first: '' }));
  const first = all[shown(all, window).start];
  const more = [...ids(900, 100), ...all, ...ids(1_500, 50)];
  assert.equal(more[shown(more, window).start], first);
});

test('a post is in the middle of the window around it', () => {
  const all = ids(0, 1_000);
  const { start, end } = shown(all, around(all, all[500]));
  assert.ok(start < 500 && 500 < end);
  assert.equal(shown(all, around(all, all[0])).start, 0);
  assert.equal(shown(['a', 'b'], around(['a', 'b'], 'b')).end, 2);
});
