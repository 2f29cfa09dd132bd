// Users in a real Chromium, and what is held against every one of them: no request to another host, no
// violation of the page's policy, no error of its scripts.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { look } from './layout.mjs';
import { PASSWORD, PATIENCE } from './mesh.mjs';

const require = createRequire(`${process.env.COMITY_PAGE_MODULES ?? import.meta.dirname}/`);
const { chromium } = require('playwright-core');
const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const problems = [];
export const say = (text) => console.log(`[${String(Math.round(performance.now() / 1000)).padStart(4)} s] ${text}`);
export function wrong(text) {
  problems.push(text);
  console.error(`WRONG ${text}`);
}

/** Starts the browser. */
export async function browser() {
  const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const executablePath = places.find((it) => it && fs.existsSync(it));
  if (!executablePath) throw new Error('there is no Chromium: install it, or name it by CHROMIUM');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** A page of a user's own, not logged in yet. */
export async function visitor(chrome, node, options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const who = `at ${node.partner}`;
  const expected = { offline: false };
  context.on('request', (request) => {
    const to = new URL(request.url());
    if (!['data:', 'blob:'].includes(to.protocol) && to.host !== new URL(node.url).host) wrong(`${who}: a request to ${to.host}`);
  });
  page.on('pageerror', (error) => wrong(`${who}: ${error.stack}`));
  page.on('dialog', (dialog) => {
    wrong(`${who}: a dialogue: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection|ERR_/.test(message.text())) wrong(`${who}: ${message.text()}`);
  });
  await page.goto(`${node.url}/`);
  return Object.assign(page, { node, expected });
}

/** A user that is logged in. */
export async function user(chrome, node, name, options) {
  const page = await visitor(chrome, node, options);
  await logIn(page, name);
  return page;
}

export async function logIn(page, name) {
  await page.fill('[data-test=login] [name=username]', name);
  await page.fill('[data-test=login] [name=password]', PASSWORD);
  await page.click('[data-test=login] button[type=submit]');
  await page.waitForSelector('[data-test=channel-link], [data-test=console-nav]');
}

export async function open(page, channel) {
  await page.click(`[data-test=channel-link]:has-text("${channel}")`);
  await page.waitForSelector('[data-test=composer] [name=message]');
}

export async function write(page, text) {
  const field = '[data-test=composer] [name=message]';
  await page.fill(field, text);
  await page.press(field, 'Enter');
}

/** The posts of the timeline that have this text, those that wait to be sent apart. */
export const posts = (page, text) => page.locator('[data-test=timeline] [data-test=post]:not([data-pending])').filter({ hasText: text });

export const reads = (page, text, patience = PATIENCE) => posts(page, text).first().waitFor({ timeout: patience });

/** What is wrong with a screen goes on record; the screen is kept as a picture where that is wanted. */
export async function inspect(page, name, keep) {
  // What shows only under the pointer is not looked at.
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.fonts.ready);
  for (const it of await page.evaluate(look)) wrong(`${name}: ${it}`);
  await axe(page, name);
  if (keep) await page.screenshot({ path: path.join(keep, `${name}.png`) });
}

/** What axe finds serious on a screen. It is put in by the test's own channel, which the page's policy does not concern. */
export async function axe(page, name) {
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: AXE });
  const { result } = await session.send('Runtime.evaluate', {
    expression: `axe.run(document, {resultTypes: ['violations']}).then((it) => JSON.stringify(it.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(', '))))`,
    awaitPromise: true,
    returnByValue: true,
  });
  for (const it of JSON.parse(result.value ?? '[]')) wrong(`${name}: axe: ${it}`);
  await session.detach();
}

/** Violations of the page's policy that the page counted. */
export async function violations(page) {
  const count = await page.evaluate(() => window.comityPage?.cspViolations);
  if (count !== 0) wrong(`at ${page.node.partner}: ${count} violations of the page's policy`);
}
