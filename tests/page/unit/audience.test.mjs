import assert from 'node:assert/strict';
import { test } from 'node:test';
import { audienceWords, deliveryWords, inOrder, listed, toggled } from '../../../node/web/app/audience.js';

const own = 'alpha';
const all = { receives: ['alpha', 'bravo', 'charlie'], excluded: [] };

test('names are listed as people do, the own partner first', () => {
  assert.equal(listed([]), 'nobody');
  assert.equal(listed(['a']), 'a');
  assert.equal(listed(['a', 'b', 'c']), 'a, b and c');
  assert.deepEqual(inOrder(['charlie', 'alpha', 'bravo'], 'bravo'), ['bravo', 'alpha', 'charlie']);
});

test('switching a partner off narrows, and all on again names nobody', () => {
  const readers = all.receives;
  assert.deepEqual(toggled([], readers, 'charlie', own), ['alpha', 'bravo']);
  assert.deepEqual(toggled(['alpha', 'bravo'], readers, 'charlie', own), []);
  assert.deepEqual(toggled(['alpha', 'bravo'], readers, 'bravo', own), ['alpha'], 'nobody else is still oneself, never all');
  assert.deepEqual(toggled(['alpha', 'gone'], readers, 'bravo', own), ['alpha', 'bravo']);
});

test('the bar says who will receive a message', () => {
  const words = audienceWords({ audience: all, to: [], own, direct: false });
  assert.deepEqual(words, { title: 'alpha, bravo and charlie will receive this', detail: '', tone: 'all' });
});

test('the bar says who will not, and why', () => {
  const words = audienceWords({ audience: { receives: ['alpha', 'bravo'], excluded: [{ partner: 'charlie', why: 'the pact with it is suspended or revoked' }] }, to: [], own, direct: false });
  assert.equal(words.tone, 'partial');
  assert.equal(words.detail, 'Will not receive it: charlie (the pact with it is suspended or revoked).');
});

test('narrowed is said in words', () => {
  const words = audienceWords({ audience: { receives: ['alpha', 'bravo'], excluded: [{ partner: 'charlie', why: 'it is not among the chosen partners' }] }, to: ['alpha', 'bravo'], own, direct: false });
  assert.equal(words.tone, 'narrowed');
  assert.equal(words.title, 'Narrowed: only alpha and bravo will receive this');
  assert.match(words.detail, /charlie \(it is not among the chosen partners\)/);
  assert.equal(audienceWords({ audience: { receives: ['alpha'], excluded: [] }, to: ['alpha'], own, direct: false }).title, 'Narrowed: stays at alpha');
});

test('what is not known is not made up', () => {
  assert.equal(audienceWords({ audience: null, to: [], own, direct: false }).tone, 'unknown');
  assert.equal(audienceWords({ audience: { receives: ['alpha'], excluded: [] }, to: [], own, direct: false }).title, 'Stays at alpha');
  assert.equal(deliveryWords(undefined, own).state, 'unknown');
});

const delivery = (received, more = {}) => ({ post_id: 'p', for_all: true, receives: [{ partner: 'alpha', received: true, receipts: [] }, { partner: 'bravo', received: received[0], receipts: [] }, { partner: 'charlie', received: received[1], receipts: [] }], excluded: [], final: false, late: false, forked: false, ...more });

test('delivery says which partner has shown that it holds a message', () => {
  assert.deepEqual(deliveryWords(delivery([false, false]), own), { short: 'waits for bravo and charlie', long: 'Stored here; not known to be received by bravo and charlie yet; not final yet.', state: 'stored' });
  assert.deepEqual(deliveryWords(delivery([true, false]), own), { short: '1 of 2, waits for charlie', long: 'Stored here; received by bravo; not known to be received by charlie yet; not final yet.', state: 'partial' });
  assert.equal(deliveryWords(delivery([true, true]), own).state, 'received');
  assert.equal(deliveryWords(delivery([true, true], { final: true }), own).state, 'final');
});

test('what was known before the node went is said to be that', () => {
  const words = audienceWords({ audience: all, to: [], own, direct: false, stale: true });
  assert.equal(words.title, 'As last known: alpha, bravo and charlie will receive this');
  assert.match(words.detail, /not reached/);
});

test('what the node refuses is said in its words', () => {
  const words = audienceWords({ audience: null, to: ['alpha', 'gone'], own, direct: false, refused: "there is no member 'gone' in the channel" });
  assert.deepEqual([words.tone, words.title, words.detail], ['narrowed', 'The node refuses this choice', "there is no member 'gone' in the channel"]);
});
