// What the console says and decides, without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, count, counted, finality, isPostQuantum, limitText, linkState, quorumText, span } from '../../../node/web/console/words.js';
import { pathOf, place, sectionsFor } from '../../../node/web/console/rights.js';
import { addressesOf, comparing, fileName, fileProblem, kindOfFile } from '../../../node/web/console/peering.js';
import { accountProblem, pasted, problem, tokenOf } from '../../../node/web/console/first.js';
import { found, rolesProblem } from '../../../node/web/console/people.js';

test('numbers are as short as they can be read', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 150 * 1024, 3 * 1024 ** 3].map(bytes), ['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '150 KiB', '3.0 GiB']);
  assert.equal(count(1234567), '1\u202f234\u202f567');
  assert.deepEqual([counted(1, 'event'), counted(2, 'event'), counted(0, 'event')], ['1 event', '2 events', '0 events']);
  assert.deepEqual([0, 999, 61_000, 3_600_000, 90_061_000].map(span), ['0 s', '0 s', '1 min 1 s', '1 h', '1 d 1 h']);
});

test('a link is as good as its pact, its connection and its backlog', () => {
  const peer = { state: 'active', connected: true, behind_events: 0 };
  assert.equal(linkState(peer).tone, 'good');
  assert.equal(linkState({ ...peer, behind_events: 3 }).word, 'catching up');
  assert.equal(linkState({ ...peer, connected: false }).tone, 'bad');
  assert.equal(linkState({ ...peer, state: 'suspended' }).word, 'suspended');
  assert.equal(linkState({ ...peer, state: 'waiting' }).word, 'words not approved');
  assert.ok(isPostQuantum('X25519MLKEM768') && !isPostQuantum('X25519') && !isPostQuantum(null));
});

test('limits and finality are told in words', () => {
  assert.match(limitText('parked_bytes'), /wait/);
  assert.match(limitText('of_a_later_version'), /does not know/);
  assert.equal(finality({ not_final: 0, waits_for: ['bravo'], barrier: 3 }), 'all final');
  assert.equal(finality({ not_final: 2, waits_for: ['bravo', 'charlie'], barrier: 3 }), '2 events not final, waits for bravo, charlie');
  assert.deepEqual([0, 1, 3].map(quorumText), ['a majority of the owners', '1 owner', '3 owners, or all where there are fewer']);
});

test('rights open parts of the console, and paths lead there and back', () => {
  assert.deepEqual(sectionsFor([]), []);
  assert.deepEqual(sectionsFor(['talk', 'see_channels', 'share_channels']).map((it) => it.id), ['channels']);
  assert.deepEqual(sectionsFor(['see_node', 'manage_accounts']).map((it) => it.id), ['', 'partners', 'users', 'limits']);
  assert.deepEqual(place('/console'), { section: '', about: '' });
  assert.deepEqual(place(pathOf('channels', 'a/b')), { section: 'channels', about: 'a/b' });
  assert.deepEqual(place('/console/channels/%E0%A4%A'), { section: 'channels', about: '' });
});

test('twelve words are compared, however they are written down', () => {
  const twelve = 'one two three four five six seven eight nine ten eleven twelve'.split(' ');
  assert.deepEqual(comparing(twelve.map((word, at) => `${at + 1}. ${word.toUpperCase()}`).join('\n')).words, twelve);
  assert.equal(comparing(twelve.join(', ')).ready, true);
  assert.equal(comparing(twelve.slice(1).join(' ')).ready, false);
  assert.equal(comparing([...twelve, 'more'].join(' ')).ready, false);
  assert.equal(comparing('').words.length, 0);
});

test('only peering files are sent to the node', () => {
  const invitation = '-----BEGIN COMITY INVITATION-----\nAAAA\n-----END COMITY INVITATION-----\n';
  assert.equal(kindOfFile(invitation), 'invitation');
  assert.equal(kindOfFile(invitation.replaceAll('INVITATION', 'REPLY')), 'reply');
  assert.equal(kindOfFile('-----BEGIN PRIVATE KEY-----'), null);
  assert.equal(fileProblem({ size: 100 }, invitation), '');
  assert.match(fileProblem({ size: 70_000 }, invitation), /too long/);
  assert.match(fileProblem({ size: 10 }, 'hello'), /no peering file/);
  assert.deepEqual([fileName('invitation', 'Alpha'), fileName('reply', '../x')], ['alpha.invite', '-x.reply']);
  assert.deepEqual(addressesOf(' a:1, b:2\nc:3 '), ['a:1', 'b:2', 'c:3']);
});

test('the link of the first start brings its token, and nothing else does', () => {
  const token = 'ab'.repeat(32);
  assert.equal(tokenOf(`#token=${token}`), token);
  assert.equal(tokenOf('#token=abc'), '');
  assert.equal(tokenOf(''), '');
  assert.equal(pasted(`http://127.0.0.1:8065/setup#token=${token}\n`), token);
  assert.equal(pasted('nothing'), '');
});

test('what is wrong with first accounts is told before they are sent', () => {
  const good = { username: 'otto', password: 'correct horse', again: 'correct horse' };
  assert.equal(accountProblem(good), '');
  assert.match(accountProblem({ ...good, username: '9lives' }), /user name/);
  assert.match(accountProblem({ ...good, password: 'short', again: 'short' }), /12 characters/);
  assert.match(accountProblem({ ...good, again: 'other' }), /not the same/);
  assert.equal(problem(good, null), '');
  assert.match(problem(good, good), /another account/);
  assert.equal(problem(good, { ...good, username: 'ada' }), '');
});

test('accounts are found by all words, and roles that do not go together are told', () => {
  const user = { username: 'ada', email: 'ada@alpha.example', first_name: 'Ada', last_name: 'Lund', roles: ['node_admin'], source: 'local', active: false };
  assert.equal(found([user], 'lund node').length, 1);
  assert.equal(found([user], 'node admin disabled').length, 1);
  assert.equal(found([user], 'lund guest').length, 0);
  assert.equal(found([user], ' ').length, 1);
  assert.equal(rolesProblem(['node_admin', 'auditor']), '');
  assert.match(rolesProblem(['node_admin', 'release_authority']), /release authority/);
  assert.equal(rolesProblem(['member', 'release_authority']), '');
});
