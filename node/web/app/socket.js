// The WebSocket: told what happens, it comes back by itself and says where it left off.
import { START, take, waitMs } from './sequence.js';

/** How often the node is asked whether it is there, and how long its answer may take. */
const PING_MS = 30_000;
const ANSWER_MS = 10_000;
/** How long an attempt may take. */
const OPEN_MS = 15_000;
/** A gap in the numbers: the code with which clients of this API say so. */
const GAP = 4001;

/**
 * @typedef {{onEvent: (event: any) => void, onAnew: () => void, onState: (state: 'connecting' | 'open' | 'waiting', retryMs: number) => void, onRefused: () => void, onConnection: (id: string) => void}} Listener
 */

/**
 * Keeps a socket open until it is closed.
 * @param {Listener} listener
 */
export function openSocket(listener) {
  let position = START;
  let attempt = 0;
  let seq = 1;
  let closed = false;
  /** @type {WebSocket | null} */
  let socket = null;
  /** @type {any[]} */
  const timers = [];
  /** @type {any} */
  let retry = null;
  let awaitsAnswer = false;

  const clear = () => {
    while (timers.length > 0) clearTimeout(timers.pop());
  };

  function connect() {
    if (closed) return;
    clearTimeout(retry);
    retry = null;
    listener.onState('connecting', 0);
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const query = `connection_id=${encodeURIComponent(position.connectionId)}&sequence_number=${position.next}`;
    const own = new WebSocket(`${scheme}://${location.host}/api/v4/websocket?${query}`);
    socket = own;
    let opened = false;
    timers.push(setTimeout(() => !opened && own.close(), OPEN_MS));
    own.onopen = () => {
      opened = true;
      // Coming back with an earlier connection there is no hello: it is open when it is open.
      if (position.connectionId) settled();
      ping(own);
    };
    own.onmessage = (message) => heard(own, String(message.data));
    own.onclose = (event) => {
      if (socket !== own) return;
      socket = null;
      clear();
      if (closed) return;
      if (event.code === 4003 || !opened || attempt > 0) listener.onRefused();
      const wait = event.code === GAP ? 0 : waitMs(attempt);
      attempt += 1;
      listener.onState('waiting', wait);
      retry = setTimeout(connect, wait);
    };
  }

  function settled() {
    attempt = 0;
    listener.onState('open', 0);
  }

  /** @param {WebSocket} own */
  function ping(own) {
    timers.push(
      setTimeout(() => {
        if (own.readyState !== WebSocket.OPEN) return;
        send('ping', {});
        awaitsAnswer = true;
        timers.push(
          setTimeout(() => {
            if (awaitsAnswer && socket === own) drop(own);
          }, ANSWER_MS),
        );
        ping(own);
      }, PING_MS),
    );
  }

  /** @param {WebSocket} own a line that is dead closes slowly: it is left behind */
  function drop(own) {
    own.close();
    own.onclose?.(/** @type {any} */ ({ code: 1006 }));
  }

  /** @param {WebSocket} own @param {string} text */
  function heard(own, text) {
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      return;
    }
    awaitsAnswer = false;
    if (event.seq_reply !== undefined) return;
    const taken = take(position, event);
    if (taken.verdict === 'gap') {
      // What was missed is told again to whoever comes back with the number that it waits for.
      own.close(GAP, 'a number is missing');
      return;
    }
    position = taken.position;
    if (event.event === 'hello') {
      listener.onConnection(position.connectionId);
      settled();
    }
    if (taken.verdict === 'anew') listener.onAnew();
    if (taken.verdict !== 'known') listener.onEvent(event);
  }

  /** @param {string} action @param {object} data */
  function send(action, data) {
    if (socket?.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify({ seq: seq++, action, data }));
    return true;
  }

  const now = () => {
    if (!closed && retry !== null) connect();
  };
  const woken = () => {
    if (document.visibilityState === 'visible') now();
  };
  const offline = () => {
    if (socket) drop(socket);
  };
  window.addEventListener('online', now);
  window.addEventListener('offline', offline);
  document.addEventListener('visibilitychange', woken);
  connect();
  return {
    send,
    /** Tries again at once. */
    reconnect: now,
    /** Ends it for good. */
    close() {
      closed = true;
      clearTimeout(retry);
      clear();
      window.removeEventListener('online', now);
      window.removeEventListener('offline', offline);
      document.removeEventListener('visibilitychange', woken);
      const own = socket;
      socket = null;
      own?.close();
    },
  };
}
