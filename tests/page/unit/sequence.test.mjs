import assert from 'node:assert/strict';
import { test } from 'node:test';
import { START, take, waitMs } from '../../../node/web/app/sequence.js';

const hello = (id) => ({ event: 'hello', seq: 0, data: { connection_id: id } });

test('events are taken in order, and known ones passed over', () => {
  let { position, verdict } = take(START, hello('one'));
  assert.equal(verdict, 'first');
  ({ position, verdict } = take(position, { event: 'posted', seq: 1 }));
  assert.deepEqual([verdict, position.next], ['take', 2]);
  assert.equal(take(position, { event: 'posted', seq: 1 }).verdict, 'known');
});

test('a number that is missing is asked for again', () => {
  const { position } = take(START, hello('one'));
  const gap = take(position, { event: 'posted', seq: 3 });
  assert.equal(gap.verdict, 'gap');
  assert.equal(gap.position.next, 1, 'what is waited for stays');
  assert.equal(gap.position.connectionId, 'one');
});

test('a return without a hello goes on; another hello means asking for all again', () => {
  const { position } = take(START, hello('one'));
  assert.equal(take(position, { event: 'posted', seq: 1 }).verdict, 'take');
  const anew = take({ connectionId: 'one', next: 40 }, hello('two'));
  assert.deepEqual([anew.verdict, anew.position], ['anew', { connectionId: 'two', next: 1 }]);
});

test('waits grow to a minute and are spread', () => {
  assert.equal(waitMs(0, () => 1), 1_000);
  assert.equal(waitMs(0, () => 0), 500);
  assert.equal(waitMs(3, () => 1), 8_000);
  assert.equal(waitMs(1_000, () => 1), 60_000);
});
