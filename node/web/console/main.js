// The operator's console: what the node says of itself and its links, and orders to it.
import { html } from '../vendor/html.js';
import { useEffect, useRef } from '../vendor/hooks.js';
import { logOut } from '../app/session.js';
import { ROOT, SELDOM_MS, usePolled } from './ask.js';
import { pathOf, place, sectionsFor } from './rights.js';
import { Badge, Problem } from './parts.js';
import { Overview } from './overview.js';
import { PartnersPage } from './partners.js';
import { Channels } from './channels.js';
import { ChannelPage } from './channel.js';
import { Users } from './users.js';
import { Limits } from './limits.js';
import { AuditPage } from './audit.js';

/** @type {Record<string, any>} */
const PAGES = { '': Overview, partners: PartnersPage, channels: Channels, users: Users, limits: Limits, audit: AuditPage };

/** Rights change seldom: they are asked for again every four polls. */
const RIGHTS_MS = 4 * SELDOM_MS;

/**
 * The console.
 * @param {{route: {path: string}, me: {id: string, username: string} | null, navigate: (path: string) => void}} props
 */
export function Console({ route, me, navigate }) {
  const rights = usePolled(ROOT, RIGHTS_MS);
  const own = /** @type {any} */ (rights.data);
  const at = place(route.path);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const wasAt = useRef(route.path);
  const sections = sectionsFor(own?.may ?? []);
  const section = sections.find((it) => it.id === at.section);
  useEffect(() => {
    document.title = `${section?.title ?? 'Console'} · Comity`;
    // Whoever goes to another part by the keyboard or a screen reader begins at its headline.
    if (wasAt.current !== route.path) {
      wasAt.current = route.path;
      /** @type {HTMLElement | null | undefined} */ (main.current?.querySelector('h1'))?.focus();
      main.current?.scrollTo(0, 0);
    }
  }, [route.path, section?.title]);
  useEffect(() => {
    if (own && !section && sections.length > 0) navigate(pathOf(sections[0].id));
  }, [own, section]);

  const Page = section && (at.section === 'channels' && at.about ? ChannelPage : PAGES[section.id]);
  return html`<div class="console">
    <header class="console-bar">
      ${own?.may.includes('talk') && html`<a class="button" href="/">Chat</a>`}
      <strong class="console-name">Console</strong>
      ${own && html`<${Badge} partner=${own.partner} />`}
      <span class="grow"></span>
      ${me && html`<bdi class="hint console-me">${me.username}</bdi>`}
      <button class="button" onClick=${() => void logOut()}>Log out</button>
    </header>
    <nav class="console-nav" data-test="console-nav" aria-label="Console">
      <ul class="plain">
        ${sections.map((it) => html`<li key=${it.id}><a href=${pathOf(it.id)} aria-current=${it.id === section?.id ? 'page' : undefined}>${it.title}</a></li>`)}
      </ul>
    </nav>
    <main class="console-main" ref=${main} tabindex="0" aria-label="Console" data-test="console-main">
      ${own === null && !rights.error && html`<p class="hint" role="status">Asking the node…</p>`}
      ${own === null && html`<${Problem} text=${rights.error} />`}
      ${own && sections.length === 0 && html`<h1>Console</h1><p class="hint">Your roles open no part of the console. What each role may do is in docs/roles.md; your security officer gives roles.</p>`}
      ${Page && html`<${Page} key=${`${section.id}/${at.about}`} own=${own} me=${me} about=${at.about} navigate=${navigate} />`}
    </main>
  </div>`;
}
