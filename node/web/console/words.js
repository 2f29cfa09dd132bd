// What the console says of numbers, states, limits and times. Words only: no views, no requests.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/**
 * A number of bytes, as short as it can be read.
 * @param {number} count
 */
export function bytes(count) {
  let value = Math.max(0, count);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/**
 * A whole number with its thousands apart.
 * @param {number} value
 */
export function count(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/**
 * A number with its noun.
 * @param {number} value
 * @param {string} one
 * @param {string} [many]
 */
export function counted(value, one, many) {
  return `${count(value)} ${value === 1 ? one : (many ?? `${one}s`)}`;
}

/**
 * A span of time in its two largest units.
 * @param {number} ms
 */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = /** @type {[number, string][]} */ ([
    [Math.floor(seconds / 86400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]);
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .filter(([value], at) => at === 0 || value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/**
 * A time of day with its date where that is another than today's.
 * @param {number} ms
 * @param {number} [nowMs]
 */
export function when(ms, nowMs = Date.now()) {
  const date = new Date(ms);
  const time = date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const isToday = date.toDateString() === new Date(nowMs).toDateString();
  return isToday ? time : `${date.toLocaleDateString(undefined, { year: 'numeric', month: 'short', day: 'numeric' })} ${time}`;
}

/**
 * A time of day to the minute.
 * @param {number} ms
 */
export function minute(ms) {
  return new Date(ms).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}

/** What each limit bounds, by the word that the node uses for it. */
const LIMITS = /** @type {Record<string, string>} */ ({
  channels_offered: 'Channels that one peer offers. A peer that offers more is told to wait; nothing of the channels in use is affected.',
  parked_bytes: 'Bytes of a peer’s events that wait for what they stand on. The rest is asked for again later.',
  keys_given: 'Keys given to one peer in a second. It asks again; a peer that needs many at once catches up more slowly.',
  lanes_per_writer: 'Audiences that one writer begins in a day. More are refused until the day is over.',
  control_events: 'Membership events of one partner in a day. More are refused: look whether its node has a fault.',
  byte_budget: 'The channel’s byte budget for one partner and day.',
  ephemeral: 'Typing and presence of one peer’s users in a second. What is over is dropped and nobody misses it.',
  working_time: 'Time spent on what a peer sends that brings nothing. Its packets wait: look whether its node has a fault.',
});

/**
 * What a limit bounds and what meeting it means.
 * @param {string} name
 */
export function limitText(name) {
  return LIMITS[name] ?? 'A limit that this page does not know: docs/operations.md names it.';
}

/**
 * How a peer is doing, in a word with how grave it is.
 * @param {{state: string, connected: boolean, behind_events: number}} peer
 * @returns {{word: string, tone: 'good' | 'warn' | 'bad' | 'plain'}}
 */
export function linkState(peer) {
  if (peer.state === 'waiting') return { word: 'words not approved', tone: 'warn' };
  if (peer.state === 'suspended') return { word: 'suspended', tone: 'warn' };
  if (peer.state === 'revoked') return { word: 'revoked', tone: 'plain' };
  if (!peer.connected) return { word: 'not linked', tone: 'bad' };
  return peer.behind_events > 0 ? { word: 'catching up', tone: 'warn' } : { word: 'linked', tone: 'good' };
}

/**
 * Whether a key exchange group withstands a quantum computer.
 * @param {string | null | undefined} group
 */
export function isPostQuantum(group) {
  return /MLKEM/i.test(group ?? '');
}

/**
 * How far a lane is final, in a sentence.
 * @param {{not_final: number, waits_for: string[], barrier: number}} lane
 */
export function finality(lane) {
  if (lane.not_final === 0) return 'all final';
  const waits = lane.waits_for.length > 0 ? `, waits for ${lane.waits_for.join(', ')}` : '';
  return `${counted(lane.not_final, 'event')} not final${waits}`;
}

/**
 * How many owners must agree, by a channel's charter.
 * @param {number} quorum
 */
export function quorumText(quorum) {
  if (quorum === 0) return 'a majority of the owners';
  return quorum === 1 ? '1 owner' : `${quorum} owners, or all where there are fewer`;
}

/** What each role within this partner is for. */
export const ROLES = /** @type {Record<string, string>} */ ({
  node_admin: 'Sees to the node: links, load, accounts. Reads no message.',
  security_officer: 'Approves partners, gives roles, issues credentials, reads the audit record.',
  release_authority: 'Decides with which partners channels are shared.',
  records_officer: 'Hands out what a user wrote, for the records.',
  auditor: 'Reads the audit record.',
  member: 'Talks, in all shared channels and those it joins.',
  guest: 'Talks where a member took it.',
  bot: 'A program that a member made.',
});

/** What a member of a channel may do, by its role there. */
export const CHANNEL_ROLES = ['observer', 'contributor', 'admin', 'owner'];

/**
 * A machine's word in letters for people.
 * @param {string} word
 */
export function plain(word) {
  return word.replaceAll('_', ' ');
}
