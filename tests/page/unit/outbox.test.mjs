import assert from 'node:assert/strict';
import { test } from 'node:test';
import { afterFailure, newReaders, nextItem, nextTime, outboxStorage, pendingId } from '../../../node/web/app/outbox.js';

const item = (id, channelId, more = {}) => ({ id, channelId, rootId: '', message: id, files: [], fileIds: [], to: [], userId: 'u', createdMs: 1, state: 'waiting', error: '', tries: 0, nextMs: 0, ...more });

/** What a browser keeps, in memory. */
function memory() {
  const kept = new Map();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
    key: (at) => [...kept.keys()][at] ?? null,
    get length() {
      return kept.size;
    },
  };
}

test('the oldest of a channel goes first, and holds up those behind it there alone', () => {
  const items = [item('1', 'a', { nextMs: 500 }), item('2', 'a'), item('3', 'b')];
  assert.equal(nextItem(items, 100)?.id, '3');
  assert.equal(nextItem(items, 500)?.id, '1');
  assert.equal(nextItem([item('1', 'a', { state: 'sending' }), item('2', 'a')], 1), null);
  assert.equal(nextItem([item('1', 'a', { state: 'failed' }), item('2', 'a')], 1)?.id, '2');
  assert.equal(nextTime(items), 0);
  assert.equal(nextTime([item('1', 'a', { state: 'failed' })]), null);
});

test('what the node could not answer waits under the same name; what it refused fails', () => {
  const sent = item('1', 'a', { state: 'sending' });
  const waits = afterFailure(sent, { status: 0, message: '' }, 1_000, () => 1);
  assert.deepEqual([waits.id, waits.state, waits.tries, waits.nextMs], ['1', 'waiting', 1, 2_000]);
  assert.equal(afterFailure(waits, { status: 503, message: '' }, 1_000, () => 1).nextMs, 3_000);
  assert.equal(afterFailure(sent, { status: 429, message: '', retryAfter: 7 }, 1_000, () => 1).nextMs, 8_000);
  assert.equal(afterFailure(sent, { status: 401, message: '' }, 0).state, 'waiting', 'it is sent after the next login');
  const refused = afterFailure(sent, { status: 400, message: 'no such partner' }, 1_000);
  assert.deepEqual([refused.state, refused.error], ['failed', 'no such partner']);
});

test('items outlive the page under keys of their own, and what was being sent waits again', () => {
  const storage = memory();
  const one = outboxStorage(storage, 'u');
  const other = outboxStorage(storage, 'u');
  one.keep(item('1', 'a', { createdMs: 2, state: 'sending', nextMs: 9 }));
  other.keep(item('2', 'a', { createdMs: 1 }));
  outboxStorage(storage, 'v').keep(item('3', 'a', { userId: 'v' }));
  storage.setItem('comity.outbox.u.broken', '{');
  const loaded = outboxStorage(storage, 'u').load();
  assert.deepEqual(loaded.map((it) => [it.id, it.state]), [['2', 'waiting'], ['1', 'waiting']]);
  one.drop('1');
  assert.deepEqual(other.load().map((it) => it.id), ['2']);
});

test('no two names are the same, and each bears the user', () => {
  const names = new Set(Array.from({ length: 1_000 }, () => pendingId('u', 5)));
  assert.ok(names.size > 990);
  assert.match(pendingId('u', 5), /^u:5[a-z0-9]{6}$/);
});

test('who joined since a message was written is told apart', () => {
  assert.deepEqual(newReaders(['alpha', 'bravo'], ['alpha', 'bravo', 'delta']), ['delta']);
  assert.deepEqual(newReaders(['alpha', 'bravo'], ['alpha']), []);
  assert.deepEqual(newReaders(undefined, ['alpha']), []);
  assert.deepEqual(newReaders([], ['alpha']), []);
});
