// The story of log-in by OpenID Connect: one node, two real provider processes, and browsers that
// follow redirects and fill in forms. login_oidc.py starts it; it prints one line per step.

import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(`${process.env.COMITY_CLIENT_MODULES}/package.json`);
const WebSocket = require('ws');

const COMITY = process.argv[2];
const PROVIDER = fileURLToPath(new URL('providers/oidc.mjs', import.meta.url));
const LOOK_EVERY_MS = 100;
// For what happens at once, on a machine that is busy.
const AT_ONCE_MS = 20_000;
// Within which whoever was disabled at the provider has to be out here.
const DISABLED_MS = 60_000;
// A log-in has some ten redirects and two forms.
const HOPS = 20;

const place = mkdtempSync(join(tmpdir(), 'comity-oidc-'));
const processes = [];
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const secret = randomBytes(24).toString('base64url');

const STAFF = {
    alice: { name: 'Alice Able', email: 'alice@alpha.example', groups: ['ops', 'admins'], clearance: 'SECRET' },
    bob: { email: 'bob@alpha.example', groups: ['ops'] },
    carol: { email: 'carol@alpha.example', groups: ['ops'] },
    dora: { email: 'dora@alpha.example', groups: ['auditors'] },
    mallory: { email: 'mallory@alpha.example', groups: ['visitors'] },
};
const GUESTS = {
    alice: { email: 'alice@guests.example' },
    greta: { email: 'greta@guests.example' },
};
const staff = await provider('staff', STAFF);
const guests = await provider('guests', GUESTS);

const alice = browser();
const bob = browser();
const carol = browser();
const dora = browser();
const greta = browser();

const steps = [
    ['the ways to log in are told', async () => {
        await serve();
        const ways = await json(await fetch(`${url}/api/comity/v1/login`), 200);
        equal(ways.passwords, true, 'passwords');
        equal(ways.providers.map((it) => `${it.kind} ${it.name}: ${it.title}`).sort().join(', '),
            'oidc guests: All of guests, oidc staff: All of staff', 'the providers');
    }],
    ['a user of the provider logs in, and goes where it wanted', async () => {
        const ended = await alice.logIn('staff', 'alice', '/alpha/channels/harbour');
        equal(ended.response.status, 302, `the status (${await ended.response.text()})`);
        equal(ended.response.headers.get('location'), '/alpha/channels/harbour', 'where it is sent');
        const me = await json(await alice.api('/api/v4/users/me'), 200);
        equal(me.username, 'alice', 'the user name');
    }],
    ['the account has the roles of its groups, and what the provider says with source and time', async () => {
        const account = await json(await alice.api('/api/comity/v1/users/me'), 200);
        equal(account.roles.sort().join(), 'auditor,member', 'the roles');
        equal(account.source, 'oidc:staff', 'the source');
        equal(account.email, 'alice@alpha.example', 'the mail address');
        const said = account.attributes.clearance;
        equal(said.values.join(), 'SECRET', 'the clearance');
        equal(said.source, 'oidc:staff', 'the source of the clearance');
        expect(Math.abs(Date.now() - said.at_ms) < 600_000, `the time is ${said.at_ms}`);
    }],
    ['its WebSocket says hello', () => alice.listen()],
    ['nobody gets in whose groups are not let in', async () => {
        const mallory = browser();
        const ended = await mallory.logIn('staff', 'mallory');
        equal(ended.response.status, 401, 'the status');
        expect(!mallory.token(), 'there is a session');
    }],
    ['an answer is good once, for one browser, at one provider', async () => {
        const other = browser();
        const ended = await other.logIn('staff', 'bob', '/', { stopBeforeCallback: true });
        const elsewhere = browser();
        equal((await elsewhere.get(ended.address)).status, 401, 'the status in another browser');
        equal((await other.get(ended.address)).status, 401, 'the status after that');
        const mixed = await other.logIn('staff', 'bob', '/', { stopBeforeCallback: true });
        const moved = mixed.address.replace('/oidc/staff/', '/oidc/guests/');
        equal((await other.get(moved)).status, 401, 'the status at another provider');
        const twice = await other.logIn('staff', 'bob');
        equal(twice.response.status, 302, 'the status of the log-in');
        equal((await other.get(twice.address)).status, 401, 'the status of its repetition');
    }],
    ['a second provider works beside the first', async () => {
        equal((await greta.logIn('guests', 'greta')).response.status, 302, 'the status');
        const account = await json(await greta.api('/api/comity/v1/users/me'), 200);
        equal(account.roles.join(), 'guest', 'the roles');
        equal(account.source, 'oidc:guests', 'the source');
        await greta.listen();
    }],
    ['one provider\'s alice is not the other\'s', async () => {
        const other = browser();
        equal((await other.logIn('guests', 'alice')).response.status, 401, 'the status');
        expect(!other.token(), 'there is a session');
    }],
    ['a logout token that nobody signed ends nothing', async () => {
        const part = (it) => Buffer.from(JSON.stringify(it)).toString('base64url');
        const event = { 'http://schemas.openid.net/event/backchannel-logout': {} };
        const now = Math.floor(Date.now() / 1000);
        const claims = { iss: staff.issuer, aud: 'comity', sub: 'alice', jti: 'j', iat: now, events: event };
        const token = `${part({ alg: 'none' })}.${part(claims)}.`;
        const body = new URLSearchParams({ logout_token: token });
        const refused = await fetch(`${url}/login/oidc/staff/logout`, { method: 'POST', body });
        equal(refused.status, 400, 'the status');
        equal((await alice.api('/api/v4/users/me')).status, 200, 'the status of alice');
    }],
    ['whoever logs out at the provider is out here at once, and nobody else is', async () => {
        equal((await dora.logIn('staff', 'dora')).response.status, 302, 'the status of dora');
        const begun = Date.now();
        await alice.logOutAt(staff);
        await until('the session of alice ends', AT_ONCE_MS, async () => !(await alice.isIn()));
        await until('its socket ends', AT_ONCE_MS, () => alice.isClosed());
        told(`out after ${Date.now() - begun} ms`);
        expect(await dora.isIn(), 'dora is out too');
    }],
    ['whoever is disabled at the provider, or leaves the groups, is out within a minute', async () => {
        for (const [one, name] of [[bob, 'bob'], [carol, 'carol']]) {
            equal((await one.logIn('staff', name)).response.status, 302, `the status of ${name}`);
            await one.listen();
        }
        const begun = Date.now();
        await staff.say('bob', null);
        await staff.say('carol', { groups: ['visitors'] });
        for (const [one, name] of [[bob, 'bob'], [carol, 'carol']]) {
            const left = DISABLED_MS - (Date.now() - begun);
            await until(`the session of ${name} ends`, left, async () => !(await one.isIn()));
            told(`${name} is out after ${Date.now() - begun} ms`);
            await until(`the socket of ${name} ends`, AT_ONCE_MS, () => one.isClosed());
        }
        equal((await browser().logIn('staff', 'carol')).response.status, 401, 'carol, once more');
        expect(await dora.isIn(), 'dora is out too');
        expect(await greta.isIn(), 'greta is out too');
        await until('the provider is asked about dora', DISABLED_MS, async () => (await staff.asked()).dora >= 1);
        expect(await dora.isIn(), 'dora is out after she was asked about');
    }],
    ['a provider that is gone ends no session at once, and after its time it does', async () => {
        guests.process.kill('SIGKILL');
        await new Promise((resume) => setTimeout(resume, 10_000));
        expect(await greta.isIn(), 'greta is out at once');
        await until('the session of greta ends', 2 * DISABLED_MS, async () => !(await greta.isIn()));
        await until('its socket ends', AT_ONCE_MS, () => greta.isClosed());
        equal((await fetch(`${url}/login/oidc/guests`, { redirect: 'manual' })).status, 302,
            'the status of a log-in: what the provider publishes is known still');
        expect(await dora.isIn(), 'dora is out too');
    }],
    ['all of it is on record', async () => {
        const records = await json(await dora.api('/api/comity/v1/audit?limit=1000'), 200);
        const has = (action, text) => records.some((it) => it.action === action && it.text.includes(text));
        for (const [action, text] of [
            ['login', 'oidc:staff'],
            ['login', 'oidc:guests'],
            ['login_refused', 'mallory at oidc:staff'],
            ['login_refused', 'not begun in this browser'],
            ['login_refused', 'alice at oidc:guests'],
            ['logout_refused', 'at oidc:staff'],
            ['session_ended', 'oidc:staff logged it out'],
            ['session_ended', 'oidc:staff: the provider refuses'],
            ['session_ended', 'oidc:guests could not be asked for 1 minutes'],
        ]) {
            expect(has(action, text), `no record of ${action} with '${text}'`);
        }
    }],
];

let failed = 0;
try {
    for (const [name, step] of steps) {
        try {
            await step();
            told(`${name}: ok`);
        } catch (error) {
            failed += 1;
            told(`${name}: FAILED: ${error.message}`);
            console.error(error);
        }
    }
} finally {
    processes.forEach((it) => it.kill('SIGKILL'));
    if (failed > 0) {
        console.error(readFileSync(join(place, 'node.log'), 'utf8').split('\n').slice(-40).join('\n'));
    }
    rmSync(place, { recursive: true, force: true });
}
told(`${steps.length - failed} of ${steps.length} steps passed`);
process.exit(failed > 0 ? 1 : 0);

/** Starts a provider with these users. */
async function provider(name, users) {
    const own = await freePort();
    const issuer = `http://127.0.0.1:${own}`;
    const said = {
        port: own,
        users,
        secret,
        redirect: `${url}/login/oidc/${name}/callback`,
        logout: `${url}/login/oidc/${name}/logout`,
    };
    const started = spawn('node', [PROVIDER, JSON.stringify(said)], { stdio: ['ignore', 'pipe', 'inherit'] });
    processes.push(started);
    await new Promise((resume, refuse) => {
        started.stdout.on('data', (text) => String(text).includes('ready') && resume());
        started.on('exit', (code) => refuse(new Error(`the provider ended with ${code}`)));
    });
    const control = async (body) => {
        const how = body && { method: 'POST', body: JSON.stringify(body) };
        return json(await fetch(`${issuer}/control`, how), 200);
    };
    return {
        issuer,
        process: started,
        say: (user, claims) => control({ user, claims }),
        asked: () => control(),
    };
}

/** Makes the node and lets it serve. */
async function serve() {
    const dir = join(place, 'node');
    const listen = `127.0.0.1:${await freePort()}`;
    const made = spawnSync(COMITY, ['init', 'alpha', '--dir', dir, '--listen', listen, '--http', `127.0.0.1:${port}`]);
    equal(made.status, 0, `the status of comity init (${made.stderr})`);
    writeFileSync(join(dir, 'oidc.secret'), `${secret}\n`, { mode: 0o600 });
    const table = (name, issuer, more, rules) => `
[[login.oidc]]
name = "${name}"
title = "All of ${name}"
issuer = "${issuer}"
client_id = "comity"
client_secret_file = "oidc.secret"
scopes = ["profile", "email", "groups", "offline_access"]
prompt = "consent"
${more}
[login.oidc.rules]
${rules}`;
    const roles = `
[login.oidc.rules.roles]
admins = ["member", "auditor"]
auditors = ["auditor"]`;
    appendFileSync(join(dir, 'comity.toml'), [
        `\nurl = "${url}"\n`,
        table('staff', staff.issuer, '', `allow = ["ops", "auditors"]\nattributes = ["clearance"]\n${roles}`),
        table('guests', guests.issuer, 'offline_minutes = 1', 'allow = ["*"]\ndefault_role = "guest"'),
    ].join('\n'));
    const log = join(place, 'node.log');
    writeFileSync(log, '');
    const node = spawn(COMITY, ['serve', '--dir', dir], { stdio: ['ignore', 'ignore', 'pipe'] });
    node.stderr.on('data', (text) => appendFileSync(log, text));
    processes.push(node);
    await until('the node answers', 60_000, async () => {
        const pong = await fetch(`${url}/api/v4/system/ping`).catch(() => null);
        return pong?.status === 200;
    });
}

/** Somebody's browser: keeps cookies of each site, follows redirects, fills in forms. */
function browser() {
    const jars = new Map();
    const jar = (address) => {
        const { host } = new URL(address);
        if (!jars.has(host)) {
            jars.set(host, new Map());
        }
        return jars.get(host);
    };
    let socket = null;
    let closed = false;

    async function get(address, how = {}) {
        const own = jar(address);
        const cookie = [...own].map(([name, value]) => `${name}=${value}`).join('; ');
        const response = await fetch(address, { redirect: 'manual', ...how, headers: { ...how.headers, cookie } });
        for (const line of response.headers.getSetCookie()) {
            const [pair, ...rest] = line.split(';');
            const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
            const gone = rest.some((it) => /^\s*max-age=0\s*$/i.test(it)) || value === '';
            gone ? own.delete(name) : own.set(name, value);
        }
        return response;
    }

    /** Goes on from an address until `isThere`, as whoever this is at the provider. */
    async function go(address, user, isThere) {
        let how = {};
        for (let hop = 0; hop < HOPS; hop += 1) {
            if (isThere(address)) {
                return { address, how };
            }
            const response = await get(address, how);
            how = {};
            const next = response.headers.get('location');
            if (response.status >= 300 && response.status < 400) {
                address = new URL(next, address).href;
                continue;
            }
            const page = await response.text();
            const form = page.match(/<form[^>]*action="([^"]+)"/);
            if (!form) {
                return { address, response, page };
            }
            const fields = new URLSearchParams();
            for (const [input] of page.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
                fields.set(input.match(/name="([^"]+)"/)[1], input.match(/value="([^"]*)"/)[1]);
            }
            if (page.includes('name="login"')) {
                fields.set('login', user);
                fields.set('password', 'any');
            }
            if (page.includes('value="yes" name="logout"')) {
                fields.set('logout', 'yes');
            }
            address = new URL(form[1], address).href;
            how = { method: 'POST', body: fields };
        }
        throw new Error(`no end of redirects at ${address}`);
    }

    async function logIn(name, user, back = '/', { stopBeforeCallback = false } = {}) {
        // Each log-in is somebody's who is not known at the provider yet.
        const issuer = { staff, guests }[name].issuer;
        jar(issuer).clear();
        const begin = `${url}/login/oidc/${name}?${new URLSearchParams({ redirect_to: back })}`;
        const callback = `${url}/login/oidc/${name}/callback`;
        const there = await go(begin, user, (address) => address.startsWith(callback));
        if (there.response) {
            throw new Error(`stuck at ${there.address}: ${there.response.status} ${there.page.slice(0, 300)}`);
        }
        if (stopBeforeCallback) {
            return there;
        }
        return { address: there.address, response: await get(there.address) };
    }

    async function logOutAt(one) {
        const ended = await go(`${one.issuer}/session/end`, '', () => false);
        equal(ended.response.status, 200, `the status of the log-out at the provider (${ended.page.slice(0, 200)})`);
    }

    const token = () => jar(url).get('MMAUTHTOKEN');
    const api = (path) => get(url + path);

    async function isIn() {
        const { status } = await api('/api/v4/users/me');
        expect(status === 200 || status === 401, `the status of users/me is ${status}`);
        return status === 200;
    }

    async function listen() {
        const address = `${url.replace('http', 'ws')}/api/v4/websocket`;
        const headers = { authorization: `Bearer ${token()}` };
        socket = new WebSocket(address, { headers });
        closed = false;
        let hello = false;
        socket.on('close', () => { closed = true; });
        socket.on('error', (error) => console.error('socket', error.message));
        socket.on('message', (text) => { hello ||= JSON.parse(text).event === 'hello'; });
        await until('hello', AT_ONCE_MS, () => hello);
    }

    return { get, logIn, logOutAt, token, api, isIn, listen, isClosed: () => closed };
}

async function freePort() {
    const server = createServer();
    await new Promise((resume) => server.listen(0, '127.0.0.1', resume));
    const { port: free } = server.address();
    await new Promise((resume) => server.close(resume));
    return free;
}

async function until(what, within, condition) {
    const deadline = Date.now() + within;
    while (!(await condition())) {
        if (Date.now() > deadline) {
            throw new Error(`${what}: not within ${within} ms`);
        }
        await new Promise((resume) => setTimeout(resume, LOOK_EVERY_MS));
    }
}

async function json(response, status) {
    const text = await response.text();
    equal(response.status, status, `the status of ${response.url} (${text.slice(0, 200)})`);
    return JSON.parse(text);
}

function equal(is, should, what) {
    expect(is === should, `${what} is ${JSON.stringify(is)}, should be ${JSON.stringify(should)}`);
}

function expect(condition, what) {
    if (!condition) {
        throw new Error(what);
    }
}

function told(text) {
    console.log(`login by OpenID Connect: ${text}`);
}
