// What is shown: the login, the chat, or the console, which is loaded when somebody goes there.
import { html } from '../../vendor/html.js';
import { useEffect, useState } from '../../vendor/hooks.js';
import { navigate, useStore } from '../state.js';
import { Login } from './login.js';
import { Toasts } from './toasts.js';

/**
 * A view of a module that is loaded when it is first shown.
 * @param {{load: () => Promise<any>, name: string, [prop: string]: any}} props
 */
export function Lazy({ load, name, ...props }) {
  const [View, setView] = useState(/** @type {any} */ (null));
  const [error, setError] = useState('');
  useEffect(() => {
    let gone = false;
    load().then(
      (module) => !gone && setView(() => module[name]),
      (problem) => !gone && setError(String(problem.message ?? problem)),
    );
    return () => {
      gone = true;
    };
  }, [name]);
  if (error) return html`<p class="error" role="alert">This part of the page did not load (${error}). Look at your connection and load the page again.</p>`;
  return View ? html`<${View} ...${props} />` : null;
}

// The console's style is its own; a link in the head takes it when it is first shown.
function consoleStyle() {
  if (document.querySelector('link[data-console]')) return;
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = '/static/style/console.css';
  link.dataset.console = '';
  document.head.append(link);
}
const loadConsole = () => (consoleStyle(), import('../../console/main.js'));
// Whoever only logs in need not wait for what comes after.
const loadChat = () => import('./chat.js');
const loadSetup = () => (consoleStyle(), import('../../console/setup.js'));

/** The whole page. */
export function Page() {
  const phase = useStore((state) => state.phase);
  const route = useStore((state) => state.route);
  const me = useStore((state) => state.me);
  const failure = useStore((state) => state.failure);
  let shown;
  if (route.name === 'setup') shown = html`<${Lazy} load=${loadSetup} name="Setup" navigate=${navigate} />`;
  else if (phase === 'login') shown = html`<${Login} />`;
  else if (phase === 'starting') shown = html`<div class="centre" role="status">Opening…</div>`;
  else if (phase === 'failed') shown = html`<main class="centre"><h1>The page did not open</h1><p role="alert">${failure}</p><button class="button" onClick=${() => location.reload()}>Try again</button></main>`;
  else if (route.name === 'console') shown = html`<${Lazy} load=${loadConsole} name="Console" route=${route} me=${me} navigate=${navigate} />`;
  else shown = html`<${Lazy} load=${loadChat} name="Chat" />`;
  return html`${shown}<${Toasts} />`;
}
