// The page in a real browser, at real nodes with real links.
// Usage: stories.mjs COMITY [--only NAME] [--shots DIRECTORY] [--keep]
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { browser, inspect, logIn, open, posts, problems, reads, say, user, violations, visitor, write, wrong } from './browser.mjs';
import { HOSTILE } from './corpus/hostile.mjs';
import { Mesh, until } from './mesh.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', multiple: true }, shots: { type: 'string' }, keep: { type: 'boolean' } },
});
const [binary] = positionals;
if (!binary) {
  console.error('usage: stories.mjs COMITY [--only NAME] [--shots DIRECTORY] [--keep]');
  process.exit(2);
}
/** The longest message that clients may write, in characters. */
const WRITTEN = 16_383;

const mesh = new Mesh(binary);
const stories = {};

stories.talk = async ({ chrome, alpha, bravo, charlie }) => {
  const [a, b, c] = await Promise.all([user(chrome, alpha, 'ann'), user(chrome, bravo, 'ben'), user(chrome, charlie, 'cem')]);
  const all = [a, b, c];
  await Promise.all(all.map((it) => open(it, 'harbour')));
  await write(a, 'Alpha speaks.');
  await write(b, 'Bravo **answers**.');
  await write(c, 'Charlie too.');
  for (const it of all) for (const text of ['Alpha speaks.', 'Bravo answers.', 'Charlie too.']) await reads(it, text);
  say('three browsers at three partners read each other');

  // What is for two is for two: said before it is sent, marked after, and never at the third.
  await a.click('[data-test=audience-toggle][data-partner=charlie]');
  await a.waitForSelector('[data-test=audience-bar]:has-text("only")');
  const bar = await a.textContent('[data-test=audience-bar]');
  if (!/only/i.test(bar) || !/charlie/.test(bar)) wrong(`the audience bar does not say who is left out: ${bar}`);
  await write(a, 'For bravo alone.');
  await reads(b, 'For bravo alone.');
  // It stays narrowed until it is taken back.
  await a.click('[data-test=audience-toggle][data-partner=charlie]');
  await a.waitForSelector('[data-test=audience-bar]:not(:has-text("only"))');
  await write(b, 'Open again.');
  await reads(c, 'Open again.');
  if (await posts(c, 'For bravo alone.').count()) wrong('the third partner shows what is not for it');
  const channel = (await charlie.ask('cem', 'GET', '/api/v4/users/me/channels')).body.find((it) => it.name === 'harbour').id;
  const held = await charlie.ask('cem', 'GET', `/api/v4/channels/${channel}/posts?per_page=200`);
  if (JSON.stringify(held.body).includes('For bravo alone.')) wrong('the third partner’s node tells what is not for it');
  await posts(a, 'For bravo alone.').locator('[data-test=delivery]').first().click();
  await a.waitForSelector('[data-test=who-sheet]:has-text("charlie")');
  await a.keyboard.press('Escape');
  say('a message for two is not at the third');

  // The link between two is cut while both type; alpha and charlie are linked.
  mesh.cut(alpha, bravo);
  mesh.cut(bravo, charlie);
  for (let at = 0; at < 5; at += 1) {
    await write(a, `Alpha during the cut ${at}.`);
    await write(b, `Bravo during the cut ${at}.`);
  }
  await reads(c, 'Alpha during the cut 4.');
  if (mesh.relay.dropped === 0) wrong('the relay dropped nothing: there was no cut');
  if (await posts(a, 'Bravo during the cut').count()) wrong('something passed the cut');
  mesh.heal(alpha, bravo);
  mesh.heal(bravo, charlie);
  for (const it of all) {
    for (const who of ['Alpha', 'Bravo']) {
      for (let at = 0; at < 5; at += 1) {
        await reads(it, `${who} during the cut ${at}.`);
        const count = await posts(it, `${who} during the cut ${at}.`).count();
        if (count !== 1) wrong(`${it.node.partner} shows ${who}’s message ${at} of the cut ${count} times`);
      }
    }
  }
  say(`a link was cut and restored while people typed: ${mesh.relay.dropped} packets dropped, all 10 messages everywhere, once`);

  // A node is killed; what its user writes meanwhile waits in the page and goes when it is back.
  await bravo.kill();
  await b.waitForSelector('[data-test=connection-banner]');
  for (let at = 0; at < 3; at += 1) await write(b, `While the node is dead ${at}.`);
  await b.waitForSelector('[data-pending]');
  await b.reload({ timeout: 5_000 }).catch(() => undefined);
  await bravo.start();
  // The browser's own page for a node that does not answer tries again by itself, and may be in the way.
  await until('the page is there again', () => b.goto(`${bravo.url}/`).catch(() => null));
  await b.waitForSelector('[data-test=channel-link]');
  await open(b, 'harbour');
  for (const it of [a, b, c]) {
    for (let at = 0; at < 3; at += 1) {
      await reads(it, `While the node is dead ${at}.`);
      const count = await posts(it, `While the node is dead ${at}.`).count();
      if (count !== 1) wrong(`${it.node.partner} shows message ${at} of the dead node’s user ${count} times`);
    }
  }
  say('a node was killed and came back: what was written meanwhile arrived once');
  for (const it of all) await violations(it);
  await Promise.all(all.map((it) => it.context().close()));
};

stories.hostile = async ({ chrome, alpha, bravo }) => {
  const channel = (await bravo.ask('ben', 'GET', '/api/v4/users/me/channels')).body.find((it) => it.name === 'dock').id;
  let posted = 0;
  for (const { name, text } of HOSTILE) {
    const message = text.replace(/\p{Surrogate}/gu, '\ufffd').slice(0, WRITTEN);
    const answer = await bravo.ask('ben', 'POST', '/api/v4/posts', { channel_id: channel, message });
    if (answer.status === 201) posted += 1;
    else if (answer.status >= 500) wrong(`${name}: ${answer.status}`);
  }
  const a = await user(chrome, alpha, 'ann');
  await open(a, 'dock');
  await bravo.ask('ben', 'POST', '/api/v4/posts', { channel_id: channel, message: 'The end.' });
  // It opens where reading was left off: the newest are below.
  await until('the channel was scrolled to its end', async () => {
    await a.evaluate(() => {
      const log = document.querySelector('[data-test=timeline]');
      const box = [log, ...log.querySelectorAll('*')].find((it) => it.scrollHeight > it.clientHeight + 4 && /auto|scroll/.test(getComputedStyle(it).overflowY)) ?? log;
      box.scrollTop = box.scrollHeight;
    });
    return posts(a, 'The end.').first().isVisible();
  });
  const begun = Date.now();
  await until('the channel was scrolled to its beginning', async () => {
    const top = await a.evaluate(() => {
      const log = document.querySelector('[data-test=timeline]');
      const box = [log, ...log.querySelectorAll('*')].find((it) => it.scrollHeight > it.clientHeight + 4 && /auto|scroll/.test(getComputedStyle(it).overflowY)) ?? log;
      box.scrollTop = Math.max(0, box.scrollTop - box.clientHeight * 0.8);
      return box.scrollTop;
    });
    return top === 0;
  });
  const ran = await a.evaluate(() => document.querySelectorAll('script:not([src]), iframe, object, embed, [onclick], [onerror], [onload], img[src^="http"]').length);
  if (ran) wrong(`${ran} elements that messages made could run or load something`);
  await violations(a);
  say(`${posted} hostile messages were shown, scrolled through in ${Date.now() - begun} ms: nothing ran, nothing was asked of other hosts`);
  await a.context().close();
};

stories.keyboard = async ({ chrome, alpha, bravo }) => {
  const page = await visitor(chrome, alpha);
  const focus = () => page.evaluate(() => document.activeElement?.dataset.test ?? document.activeElement?.getAttribute('name') ?? document.activeElement?.tagName);
  const tabTo = async (wanted) => {
    for (let at = 0; at < 80; at += 1) {
      if ((await focus()) === wanted) return;
      await page.keyboard.press('Tab');
    }
    wrong(`by the Tab key one does not come to ${wanted}`);
  };
  await page.waitForSelector('[data-test=login]');
  await tabTo('username');
  await page.keyboard.type('ann');
  await tabTo('password');
  await page.keyboard.type('correct horse battery');
  await page.keyboard.press('Enter');
  await page.waitForSelector('[data-test=channel-link]');
  await page.keyboard.press('Control+k');
  await page.waitForSelector('[data-test=quick-switcher]');
  await page.keyboard.type('harbour');
  await page.waitForSelector('[data-test=quick-switcher] [role=option]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('[data-test=channel-header]:has-text("harbour")');
  await tabTo('message');
  await page.keyboard.type('By the keyboard alone.');
  await page.keyboard.press('Enter');
  await reads(page, 'By the keyboard alone.');
  await page.keyboard.press('Shift+Tab');
  for (let at = 0; at < 40 && (await focus()) !== 'audience-toggle'; at += 1) await page.keyboard.press('Shift+Tab');
  if ((await focus()) !== 'audience-toggle') wrong('by the keyboard one does not come to the audience');
  await page.keyboard.press('Space');
  await page.waitForSelector('[data-test=audience-bar]:has-text("only")');
  await page.keyboard.press('Control+/');
  await page.waitForSelector('[data-test=help-sheet]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('[data-test=help-sheet]', { state: 'detached' });
  await violations(page);
  await page.context().close();
  const there = await bravo.ask('ben', 'GET', '/api/v4/users/me/channels');
  if (there.status !== 200) wrong('bravo does not answer');
  say('log in, switch, write, narrow, help: by the keyboard alone');
};

stories.peering = async ({ chrome, alpha }) => {
  const delta = await mesh.node('delta');
  await delta.start();
  for (const node of [alpha, delta]) {
    await node.addUser(`${node.partner}-admin`, 'node_admin');
    await node.addUser(`${node.partner}-officer`, 'security_officer');
  }
  const console_ = async (node, name) => {
    const page = await visitor(chrome, node);
    await page.goto(`${node.url}/console/partners`);
    await logIn(page, name);
    await page.goto(`${node.url}/console/partners`);
    await page.waitForSelector('[data-test=console-main] h1');
    return page;
  };
  const pages = [await console_(alpha, 'alpha-admin'), await console_(delta, 'delta-admin'), await console_(alpha, 'alpha-officer'), await console_(delta, 'delta-officer')];
  const [inviting, invited, ours, theirs] = pages;
  const saved = async (page, click) => {
    const [download] = await Promise.all([page.waitForEvent('download'), click()]);
    const to = path.join(mesh.place, `${page.node.partner}-${download.suggestedFilename()}`);
    await download.saveAs(to);
    return to;
  };
  await inviting.click('[data-test=invite] button[type=submit]');
  const invitation = await saved(inviting, () => inviting.click('[data-test=invitation-made] [data-test=save-file]'));
  await invited.setInputFiles('[name=peering-file]', invitation);
  const reply = await saved(invited, () => invited.click('[data-test=file-taken] [data-test=save-file]'));
  await inviting.setInputFiles('[name=peering-file]', reply);
  await inviting.waitForSelector('[data-test=file-taken]');
  const words = [];
  for (const page of [ours, theirs]) {
    await page.reload();
    await page.click('[data-test=peer-waiting] [data-test=compare-words]');
    await page.click('[data-test=show-words]');
    words.push(await page.locator('[data-test=own-words] li').allInnerTexts());
  }
  if (words[0].length !== 12 || words[0].join() !== words[1].join()) wrong(`both sides do not read the same twelve words: ${words.join(' / ')}`);
  for (const [at, page] of [ours, theirs].entries()) {
    await page.fill('[data-test=approve-sheet] [name=words]', words[1 - at].join(' '));
    await page.click('[data-test=approve-sheet] button[type=submit]');
    await page.waitForSelector('[data-test=peer-row]');
  }
  await until('alpha and delta are linked', async () => (await alpha.told('peer', 'list')).some((it) => it.partner === 'delta' && it.connected));
  for (const page of pages) {
    await violations(page);
    await page.context().close();
  }
  say('a peer was invited and approved on two consoles, and is linked');
};

/** The main screens, and how one comes to each. */
const SCREENS = {
  channel: async (page) => open(page, 'harbour'),
  narrowed: async (page) => {
    await open(page, 'harbour');
    const toggle = page.locator('[data-test=audience-toggle][data-partner=charlie]');
    if (!(await toggle.isVisible())) await page.click('[data-test=audience-bar] button');
    await toggle.click();
    await page.fill('[data-test=composer] [name=message]', 'For bravo alone, not sent yet.');
  },
  who: async (page) => {
    await open(page, 'harbour');
    await page.locator('[data-test=timeline] [data-test=delivery]').first().click();
    await page.waitForSelector('[data-test=who-sheet]');
  },
  thread: async (page, { post }) => {
    await page.goto(`${page.node.url}/thread/${post}`);
    await page.waitForSelector('[data-test=thread-pane] [data-test=post]');
  },
  search: async (page) => {
    await page.keyboard.press('Control+Shift+F');
    await page.fill('[data-test=search-box]', 'harbour');
    await page.press('[data-test=search-box]', 'Enter');
    await page.waitForSelector('[data-test=search-results]');
  },
  switcher: async (page) => {
    await page.keyboard.press('Control+k');
    await page.waitForSelector('[data-test=quick-switcher]');
  },
  help: async (page) => {
    await page.keyboard.press('Control+/');
    await page.waitForSelector('[data-test=help-sheet]');
  },
};
const CONSOLE = ['', 'partners', 'channels', 'users', 'limits', 'audit'];
const VIEWPORTS = [[1440, 900], [1024, 768], [390, 844], [320, 568]];

stories.screens = async ({ chrome, alpha, bravo }) => {
  if (!alpha.users.includes('alpha-eyes')) await alpha.addUser('alpha-eyes', 'auditor', 'security_officer');
  const channel = (await alpha.ask('ann', 'GET', '/api/v4/users/me/channels')).body.find((it) => it.name === 'harbour').id;
  const make = (node, name, message, more = {}) => node.ask(name, 'POST', '/api/v4/posts', { channel_id: channel, message, ...more });
  const first = (await make(alpha, 'ann', 'The **pilot** is on board. Berth 4 is free from `0600`.')).body.id;
  await until('bravo has it', async () => (await bravo.ask('ben', 'GET', `/api/v4/posts/${first}`)).status === 200);
  await make(bravo, 'ben', 'Understood, @ann:alpha. Tugs at 0530.', { root_id: first });
  await make(alpha, 'ann', 'Only for bravo: the manifest comes by hand.', { props: { comity_to: ['bravo'] } });
  const keep = options.shots;
  if (keep) fs.mkdirSync(keep, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    for (const [width, height] of VIEWPORTS) {
      const size = { viewport: { width, height }, colorScheme, hasTouch: width < 800 };
      const name = (it) => `${it}-${width}x${height}-${colorScheme}`;
      const outside = await visitor(chrome, alpha, size);
      await outside.waitForSelector('[data-test=login]');
      await inspect(outside, name('login'), keep);
      await logIn(outside, 'ann');
      await inspect(outside, name('list'), keep);
      for (const [screen, go] of Object.entries(SCREENS)) {
        await outside.goto(`${alpha.url}/`);
        await outside.waitForSelector('[data-test=channel-link]', { state: 'attached' });
        try {
          await go(outside, { post: first });
          await inspect(outside, name(screen), keep);
        } catch (error) {
          wrong(`${name(screen)} is not reached: ${error.message.split('\n')[0]}`);
        }
        await outside.evaluate(() => document.querySelectorAll('dialog[open]').forEach((it) => it.close?.()));
      }
      await violations(outside);
      await outside.context().close();
      const officer = await visitor(chrome, alpha, size);
      await officer.goto(`${alpha.url}/console`);
      await logIn(officer, 'alpha-eyes');
      for (const part of CONSOLE) {
        await officer.goto(`${alpha.url}/console/${part}`);
        await officer.waitForSelector('[data-test=console-main] h1');
        await inspect(officer, name(`console-${part || 'overview'}`), keep);
      }
      await violations(officer);
      await officer.context().close();
      say(`${width} by ${height}, ${colorScheme}: ${Object.keys(SCREENS).length + 2 + CONSOLE.length} screens looked at`);
    }
  }
};

async function main() {
  const wanted = options.only ?? Object.keys(stories);
  const nodes = [];
  for (const partner of ['alpha', 'bravo', 'charlie']) nodes.push(await mesh.node(partner));
  const [alpha, bravo, charlie] = nodes;
  await Promise.all(nodes.map((it) => it.start()));
  for (const [one, other] of [[alpha, bravo], [alpha, charlie], [bravo, charlie]]) await mesh.peer(one, other);
  await alpha.addUser('ann');
  await bravo.addUser('ben');
  await charlie.addUser('cem');
  await mesh.channel('harbour', [alpha, bravo, charlie]);
  await mesh.channel('dock', [bravo, alpha]);
  say('three nodes share a channel');
  const chrome = await browser();
  for (const name of wanted) {
    const before = problems.length;
    try {
      await stories[name]({ chrome, alpha, bravo, charlie });
    } catch (error) {
      wrong(`${name}: ${error.stack}`);
      mesh.relay.cuts.clear();
      for (const [at, context] of chrome.contexts().entries()) {
        const shot = path.join(os.tmpdir(), `comity-page-${name}-${at}.png`);
        await context.pages()[0]?.screenshot({ path: shot }).then(() => console.error(`seen: ${shot}`), () => undefined);
        await context.close();
      }
    }
    console.log(`${problems.length === before ? 'ok' : 'FAILED'} ${name}`);
  }
  await chrome.close();
}

try {
  await main();
} catch (error) {
  wrong(error.stack);
} finally {
  mesh.end(options.keep);
}
console.log(problems.length ? `${problems.length} things are wrong` : 'all is as it should be');
process.exit(problems.length ? 1 : 0);
