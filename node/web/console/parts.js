// Small views that the console's parts share.
import { html } from '../vendor/html.js';
import { useEffect, useRef } from '../vendor/hooks.js';
import { Badge } from '../app/views/names.js';
import { outline, summary } from './series.js';
import { minute, when } from './words.js';

export { Badge };

let nextId = 1;

/** A word with how grave it is; the word says it, the colour repeats it. @param {{tone: string, word: string}} props */
export function Tone({ tone, word }) {
  return html`<span class=${`tone ${tone}`}>${word}</span>`;
}

/** Partners one after another. @param {{names: string[]}} props */
export function Partners({ names }) {
  if (names.length === 0) return html`<span class="hint">nobody</span>`;
  return html`<span class="badges">${names.map((name) => html`<${Badge} key=${name} partner=${name} />`)}</span>`;
}

/** What did not work. @param {{text: string}} props */
export function Problem({ text }) {
  return text ? html`<p class="error" role="alert" dir="auto">${text}</p>` : null;
}

/** A part of a page with its headline. @param {{title: string, aside?: any, children?: any}} props */
export function Part({ title, aside, children }) {
  return html`<section class="part">
    <header class="part-head"><h2>${title}</h2>${aside}</header>
    ${children}
  </section>`;
}

/** The head of a page: what it is, when it was asked for, what can be done. @param {{title: any, atMs?: number, error?: string, children?: any}} props */
export function Head({ title, atMs, error, children }) {
  return html`<header class="console-head">
    <h1 tabindex="-1" data-first dir="auto">${title}</h1>
    <span class="grow"></span>
    ${children}
    ${atMs ? html`<span class="hint as-of">as of ${when(atMs)}</span>` : null}
  </header>
  <${Problem} text=${error ?? ''} />`;
}

/** Names with their values. @param {{rows: [string, any][]}} props */
export function Facts({ rows }) {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd dir="auto">${value}</dd></div>`)}</dl>`;
}

const WIDTH = 240;
const HEIGHT = 48;

/**
 * A measure with its course.
 * @param {{title: string, points: import('./series.js').Point[], format: (value: number) => string, least?: number, note?: string}} props
 */
export function Plot({ title, points, format, least, note }) {
  const drawn = outline(points, WIDTH, HEIGHT, least);
  const last = points.at(-1);
  return html`<figure class="plot">
    <figcaption><span class="plot-title">${title}</span><strong>${last ? format(last.value) : '–'}</strong></figcaption>
    ${drawn.line
      ? html`<svg viewBox=${`0 -2 ${WIDTH} ${HEIGHT + 4}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: ${summary(points, format)}`}>
          <path class="plot-area" d=${drawn.area} /><path class="plot-line" d=${drawn.line} /></svg>
        <div class="plot-foot"><span>since ${minute(points[0].at)}</span><span>highest ${format(Math.max(...points.map((it) => it.value)))}</span></div>`
      : html`<p class="hint">The first two measurements come within half a minute.</p>`}
    ${note && html`<p class="hint">${note}</p>`}
  </figure>`;
}

/**
 * A dialogue: holds the focus, ends by Escape, gives the focus back.
 * @param {{title: string, test?: string, onClose: () => void, children?: any}} props
 */
export function Dialog({ title, test, onClose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useRef('');
  if (!id.current) id.current = `console-dialog-${nextId++}`;
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    /** @type {HTMLElement | null | undefined} */ (dialog.current?.querySelector('[data-first]'))?.focus();
    return () => {
      dialog.current?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return html`<dialog ref=${dialog} class="console-dialog" data-test=${test} aria-labelledby=${id.current}
      onCancel=${(/** @type {Event} */ event) => (event.preventDefault(), onClose())}>
    <h2 id=${id.current} dir="auto">${title}</h2>
    ${children}
  </dialog>`;
}

/**
 * Hands text over as a file, made in this window: nothing is sent anywhere.
 * @param {string} name
 * @param {string} text
 */
export function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads it when the click is over.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
