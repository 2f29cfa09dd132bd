// Decisions, records and measurements of the console, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actsFor, headline, invitable, outcomeText, proposalText } from '../../../node/web/console/deciding.js';
import { append, follow, isRefusal, prepend, query } from '../../../node/web/console/records.js';
import { HELD, course, merge, outline, rate, summary } from '../../../node/web/console/series.js';

const member = (partner, status = 'active', role = 'contributor') => ({ partner, partner_id: partner, role, status, writers: [] });
const preview = (outcome, quorum = null) => ({ channel: 'harbour', channel_id: 'x', act: 'remove', partner: 'bravo', role: null, outcome, why: 'this partner is observer there', quorum, consequences: [], seen: 's' });

test('each role is offered what it may decide, and nobody decides on the own partner', () => {
  const all = ['share_channels', 'remove_partners'];
  assert.deepEqual(actsFor(member('alpha'), 'alpha', all), []);
  assert.deepEqual(actsFor(member('bravo'), 'alpha', all), ['grant', 'suspend', 'remove']);
  assert.deepEqual(actsFor(member('bravo'), 'alpha', ['remove_partners']), ['suspend', 'remove']);
  assert.deepEqual(actsFor(member('bravo'), 'alpha', ['see_channels']), []);
  assert.deepEqual(actsFor(member('bravo', 'invited'), 'alpha', all), ['grant', 'remove']);
  assert.deepEqual(actsFor(member('bravo', 'removed'), 'alpha', all), ['invite']);
  assert.deepEqual(actsFor(member('bravo', 'suspended'), 'alpha', all), ['invite', 'remove']);
});

test('a preview says what the button will do before it is pressed', () => {
  const owners = (have, missing) => ({ needed: 2, endorsed_by: have, missing });
  assert.equal(outcomeText(preview('takes_effect')).button, 'Remove bravo');
  const endorses = outcomeText(preview('endorses', owners([], ['alpha', 'charlie'])));
  assert.equal(endorses.button, 'Endorse it');
  assert.match(endorses.text, /needs 2 owners; 0 stand behind.*changes nothing yet.*charlie/);
  assert.equal(outcomeText(preview('waits', owners(['alpha'], ['charlie']))).button, '');
  assert.match(outcomeText(preview('takes_effect', owners(['charlie'], ['alpha']))).text, /2 of 2/);
  const refused = outcomeText(preview('refused'));
  assert.deepEqual([refused.tone, refused.button], ['bad', '']);
  assert.match(refused.text, /observer there/);
});

test('decisions and proposals are named the same everywhere', () => {
  assert.equal(headline({ act: 'invite', partner: 'bravo', role: 'observer' }), 'Invite bravo as observer');
  assert.equal(headline({ act: 'grant', partner: 'bravo', role: 'owner' }), 'Make bravo owner');
  assert.equal(proposalText({ act: 'remove', partner: 'bravo', endorsed_by: ['alpha'], needed: 2 }), 'Remove bravo: endorsed by alpha (1 of 2)');
});

test('only approved peers that are not there are invited', () => {
  const peers = [{ partner: 'bravo', state: 'active' }, { partner: 'charlie', state: 'active' }, { partner: 'delta', state: 'waiting' }, { partner: 'echo', state: 'active' }];
  assert.deepEqual(invitable(peers, [member('bravo'), member('echo', 'removed')]), ['charlie', 'echo']);
});

test('the record grows at both ends, and shows each once', () => {
  const record = (number, action = 'login') => ({ number, at_ms: 0, action, text: '' });
  const numbers = (list) => list.map((it) => it.number);
  assert.deepEqual(numbers(append([record(5), record(4)], [record(4), record(3)])), [5, 4, 3]);
  assert.deepEqual(numbers(prepend([record(5), record(4)], [record(7), record(6), record(5)])), [7, 6, 5, 4]);
  assert.deepEqual(numbers(append([], [record(2)])), [2]);
  assert.equal(query({ action: 'refused', text: 'a b', before: 7 }), '/api/comity/v1/console/audit?before=7&action=refused&text=a+b&limit=100');
  assert.ok(isRefusal(record(1, 'login_refused')) && !isRefusal(record(1, 'login')));
});

test('whoever follows sees no list with a gap in it', () => {
  const record = (number) => ({ number, at_ms: 0, action: 'login', text: '' });
  const numbers = (list) => list.records.map((it) => it.number);
  const held = [record(5), record(4)];
  assert.deepEqual(numbers(follow(held, { records: [record(6), record(5)], next: 5 })), [6, 5, 4]);
  assert.deepEqual(follow(held, { records: [record(9), record(8)], next: 8 }), { records: [record(9), record(8)], next: 8 });
  assert.deepEqual(numbers(follow(held, { records: [], next: 0 })), [5, 4]);
});

const sample = (at_ms, value) => ({ at_ms, disk_bytes: value, rss_bytes: 0, cpu_ms: 0, events: 0, parked_events: 0, behind_events: 0, connected: 0, wire_bytes_sent: value, wire_bytes_received: 0 });

test('measurements are held once each, in order, and not without end', () => {
  const held = merge([sample(2, 0), sample(1, 0)], [sample(2, 9), sample(3, 0)]);
  assert.deepEqual(held.map((it) => [it.at_ms, it.disk_bytes]), [[1, 0], [2, 9], [3, 0]]);
  const many = Array.from({ length: HELD + 10 }, (_, at) => sample(at, 0));
  assert.equal(merge([], many).length, HELD);
  assert.equal(merge([], many)[0].at_ms, 10);
});

test('a counter that fell was begun anew, and is no rate', () => {
  const samples = [sample(0, 100), sample(1000, 300), sample(2000, 50), sample(4000, 70)];
  assert.deepEqual(rate(samples, (it) => it.wire_bytes_sent), [{ at: 1000, value: 200 }, { at: 4000, value: 10 }]);
});

test('a plot fills its box and no more', () => {
  const points = course([sample(0, 0), sample(500, 50), sample(1000, 100)], (it) => it.disk_bytes);
  assert.equal(outline(points, 100, 10).line, 'M0.0 10.0L50.0 5.0L100.0 0.0');
  assert.equal(outline(points.slice(0, 1), 100, 10).line, '');
  assert.equal(outline(points, 100, 10, 200).top, 200);
  assert.equal(summary(points, (it) => `${it}`), 'now 100, between 0 and 100');
  assert.equal(summary([], String), 'nothing was measured yet');
});
