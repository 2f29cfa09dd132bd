// Small things that many views use.
import { Component, h } from '../../vendor/preact.js';
import { html } from '../../vendor/html.js';

/**
 * A view that is drawn anew only when its properties changed.
 * @param {(props: any) => any} View
 */
export function memo(View) {
  return class extends Component {
    /** @param {any} next */
    shouldComponentUpdate(next) {
      const before = /** @type {any} */ (this.props);
      const keys = Object.keys(next);
      return keys.length !== Object.keys(before).length || keys.some((key) => !Object.is(before[key], next[key]));
    }

    render() {
      return h(View, /** @type {any} */ (this.props));
    }
  };
}

const SHAPES = /** @type {Record<string, string>} */ ({
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM20 20l-4-4',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  back: 'M15 5l-7 7 7 7',
  menu: 'M4 7h16M4 12h16M4 17h16',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  smile: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14c1.8 2.4 5.2 2.4 7 0M9 9.5h.01M15 9.5h.01',
  reply: 'M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6',
  pin: 'M9 4h6l-1 7 3 3H7l3-3zM12 14v6',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  bin: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13',
  link: 'M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
  attach: 'M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.4 3.4 0 0 1 5 5l-8.5 8.3a1.7 1.7 0 0 1-2.4-2.4L15 7.5',
  send: 'M4 12l16-8-6 16-3-7zM11 13l9-9',
  star: 'M12 4l2.4 5.2 5.6.7-4.2 3.8 1.2 5.6-5-2.9-5 2.9 1.2-5.6L4 9.9l5.6-.7z',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  hash: 'M9 4L7 20M17 4l-2 16M4.5 9h16M3.5 15h16',
  share: 'M7 12a2.5 2.5 0 1 0 0 .01M17 6a2.5 2.5 0 1 0 0 .01M17 18a2.5 2.5 0 1 0 0 .01M9 11l6-4M9 13l6 4',
  people: 'M9 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM3.5 19c0-3.3 2.5-5 5.5-5s5.5 1.7 5.5 5M16 5.5a3 3 0 0 1 0 5.5M17 14c2.2.5 3.5 2.2 3.5 5',
  clock: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2',
  check: 'M5 12.5l4.5 4.5L19 7',
  checks: 'M2 12.5l4.5 4.5L15 8M11 15.5l1.5 1.5L22 8',
  alert: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  down: 'M12 5v14M6 13l6 6 6-6',
  gear: 'M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M18.4 5.6l-2.1 2.1M7.7 16.3l-2.1 2.1',
  help: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.4-1 .9-1 1.7M12 16.5h.01',
  tag: 'M4 4h8l8 8-8 8-8-8zM8 8h.01',
  unread: 'M4 6h16v12H4zM4 7l8 6 8-6',
  fork: 'M7 4v6a5 5 0 0 0 5 5 5 5 0 0 0 5-5V4M12 15v6',
  exit: 'M14 4H5v16h9M10 12h11M17 8l4 4-4 4',
});

/** A drawing that says nothing by itself: what it means is said beside it. @param {{name: string}} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${SHAPES[name] ?? ''} /></svg>`;
}

/** @param {number} ms */
export const clock = (ms) => new Date(ms).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });

/** The same, as short as it can be. @param {number} ms */
export const shortClock = (ms) => new Date(ms).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** The day of a time in words. @param {number} ms @param {number} [nowMs] */
export function day(ms, nowMs = Date.now()) {
  const date = new Date(ms);
  const days = Math.round((new Date(nowMs).setHours(0, 0, 0, 0) - new Date(ms).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return date.toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long', ...(date.getFullYear() === new Date(nowMs).getFullYear() ? {} : { year: 'numeric' }) });
}

/** A time in full. @param {number} ms */
export const moment = (ms) => new Date(ms).toLocaleString(undefined, { dateStyle: 'full', timeStyle: 'medium' });

/** A size in words. @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB'];
  let value = bytes;
  let at = -1;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}
