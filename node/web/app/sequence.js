// What a socket's numbers mean: events are counted, a number that is missing means that something
// was not heard, and a hello with number 0 after another one that all has to be asked again. Pure.

/**
 * @typedef {{connectionId: string, next: number}} Position
 */

/** @type {Position} */
export const START = { connectionId: '', next: 0 };

/**
 * What to do with an event.
 * @param {Position} position
 * @param {{seq?: number, event?: string, data?: {connection_id?: string}}} event
 * @returns {{position: Position, verdict: 'take' | 'first' | 'anew' | 'known' | 'gap'}}
 */
export function take(position, event) {
  if (event.event === 'hello') {
    const connectionId = event.data?.connection_id ?? '';
    const verdict = position.connectionId === '' ? 'first' : connectionId === position.connectionId ? 'take' : 'anew';
    return { position: { connectionId, next: (event.seq ?? 0) + 1 }, verdict };
  }
  const seq = event.seq ?? -1;
  if (seq < position.next) return { position, verdict: 'known' };
  if (seq > position.next) return { position: { ...position, connectionId: position.connectionId, next: position.next }, verdict: 'gap' };
  return { position: { ...position, next: seq + 1 }, verdict: 'take' };
}

/** The first wait before a new attempt, and the longest: a node that starts again needs some seconds. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

/**
 * How long to wait before the next attempt: doubled each time, and spread so that not all come at once.
 * @param {number} attempt from 0
 * @param {() => number} [random]
 */
export function waitMs(attempt, random = Math.random) {
  const full = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 16));
  return Math.round(full * (0.5 + 0.5 * random()));
}
