// Starts the page: who is here, what is shown, and what happens when that changes.
import { render } from '../vendor/preact.js';
import { html } from '../vendor/html.js';
import { apiEvents } from './api.js';
import { navigate, store } from './state.js';
import { parseRoute, safeReturn } from './route.js';
import { enter, signedOut } from './session.js';
import { Page } from './views/page.js';

const root = /** @type {HTMLElement} */ (document.getElementById('page'));
render(html`<${Page} />`, root);

window.addEventListener('popstate', () => store.set({ route: parseRoute(location.pathname + location.search) }));

// Links within the page change the screen and load nothing.
document.addEventListener('click', (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a[href]') : null;
  if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (!/^\/(channel|post|thread|console|setup|$)/.test(link.pathname)) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
});

// A file that is dropped beside its place would replace the page.
for (const kind of ['dragover', 'drop']) {
  window.addEventListener(kind, (event) => {
    if (!event.defaultPrevented) event.preventDefault();
  });
}

apiEvents.addEventListener('signed-out', () => signedOut());

/** Where the login leads back to. */
const wanted = () => safeReturn(new URLSearchParams(location.search).get('redirect_to'));

async function start() {
  if (store.get().route.name === 'setup') {
    store.set({ phase: 'ready' });
    return;
  }
  await enter();
  if (store.get().phase === 'ready' && store.get().route.name === 'login') navigate(wanted(), { replace: true });
}
start();
