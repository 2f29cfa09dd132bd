// The story with npm's @mattermost/client, the client of Mattermost's own web app: fetch for the
// requests, and a WebSocket client that resumes by itself. README.md says what a scenario is given
// and prints; the Python clients tell the same story in story.py.

import { createRequire } from 'node:module';
import net from 'node:net';

// The packages are installed outside this directory: COMITY_CLIENT_MODULES says where.
const require = createRequire(`${process.env.COMITY_CLIENT_MODULES}/package.json`);
const WebSocket = require('ws');
// Node 20 has neither of these two, which a browser has; the client takes them from there.
globalThis.WebSocket ??= WebSocket;
globalThis.CloseEvent ??= class extends Event {
    constructor(type, { code, wasClean }) {
        super(type);
        Object.assign(this, { code, wasClean });
    }
};
const { Client4, ClientError, WebSocketClient } = require('@mattermost/client');

// What the client prints is not a step.
console.log = console.error;

const EMOJI = 'thumbsup';
const LOOK_EVERY_MS = 100;
// Every byte value, so that whoever takes a file for text is found out.
const FILE_BYTES = Buffer.concat([Buffer.from([...Array(256).keys()]), Buffer.from('\r\n\0\n')]);

const given = JSON.parse(process.argv[2]);
const words = wordsFrom(given.seed);
const here = session(given.here, 0);
const there = session(given.there, 0);
// What steps leave for later ones. Asking for what was never left ends a step as not tried.
const held = new Proxy({}, {
    get(target, name) {
        if (!(name in target)) {
            throw new NotTried(`not tried: an earlier step did not leave '${String(name)}'`);
        }
        return target[name];
    },
});

class NotTried extends Error {}

const steps = [
    ['log in at both nodes', async () => {
        for (const side of [here, there]) {
            const user = await side.client.login(side.name, side.password);
            equal(user.username, side.name, 'the name in the answer to the log-in');
            expect(side.client.getToken(), 'the client took no token from the log-in');
            const me = await side.client.getMe();
            equal(me.id, user.id, 'the id of users/me');
            expect(!me.remote_id, 'a user is remote at its own node');
            side.id = me.id;
        }
        held.loggedIn = true;
    }],
    ['the node tells its version as a client needs it', async () => {
        await here.client.ping();
        // Taken from X-Version-Id, which the client reads off answers without Cache-Control.
        expect(/^\d+\.\d+\.\d+\./.test(here.client.serverVersion), `'${here.client.serverVersion}'`);
        const config = await here.client.getClientConfig();
        expect(Object.values(config).every((value) => typeof value === 'string'), 'not all text');
        const license = await here.client.getClientLicenseOld();
        equal(typeof license.IsLicensed, 'string', 'the type of IsLicensed');
    }],
    ['find the team by its name', async () => {
        for (const side of [here, there]) {
            const listed = await side.client.getMyTeams();
            const team = await side.client.getTeamByName(given.team);
            expect(listed.some(({ id }) => id === team.id), 'the team is not among those listed');
            side.team = team.id;
        }
        held.teams = true;
    }],
    ['find the shared channel by its name', async () => {
        expect(held.teams, 'no team');
        const names = [];
        for (const side of [here, there]) {
            const listed = await side.client.getMyChannels(side.team);
            names.push(listed.filter((channel) => channel.shared).map((channel) => channel.name));
        }
        const both = names[0].filter((name) => names[1].includes(name)).sort();
        const wanted = given.channel ?? both[0];
        expect(both.includes(wanted), `no shared channel at both: ${JSON.stringify(names)}`);
        for (const side of [here, there]) {
            const channel = await side.client.getChannelByName(side.team, wanted);
            equal(channel.name, wanted, "the channel's name");
            side.channel = channel.id;
        }
        held.channels = true;
    }],
    ['a WebSocket by the token in its first frame says hello', async () => {
        expect(held.loggedIn, 'nobody is logged in');
        held.there = await listen(there, { token: there.client.getToken() });
    }],
    ['a WebSocket by the token in its request says hello', async () => {
        expect(held.loggedIn, 'nobody is logged in');
        held.gate = await gate(here.url);
        const headers = { Authorization: `Bearer ${here.client.getToken()}` };
        held.here = await listen(here, { port: held.gate.port, headers });
    }],
    ['the WebSocket answers requests', async () => {
        const reply = await new Promise((resolve, reject) => {
            setTimeout(() => reject(new Error('no answer')), given.wait_s * 1000).unref();
            held.here.client.getStatusesByIds([here.id], resolve);
        });
        equal(reply.status, 'OK', 'the status of the answer');
        expect(here.id in reply.data, 'the answer has no status of the user asked for');
    }],
    ['a post arrives, by event and by request', async () => {
        held.message = `${words()} <b>&amp; *Grüße* \u{1f680}`;
        held.own = await send(here, held.message);
        held.seen = await arrived(there, held.message);
        const { data, broadcast } = await until('the event posted', () => posted(held.there, held.message));
        equal(data.sender_name, `@${here.name}:${here.partner}`, 'sender_name');
        equal(data.team_id, there.team, 'team_id of the event');
        expect(data.channel_name && data.channel_type, 'the event lacks channel_name or channel_type');
        equal(broadcast.channel_id, there.channel, 'channel_id of the broadcast');
    }],
    ['pending_post_id is given back, and keeps a retry from posting twice', async () => {
        const message = `once ${words()}`;
        const pending_post_id = `${here.id}:${words()}`;
        const post = { channel_id: here.channel, message, pending_post_id, user_id: here.id };
        const first = await here.client.createPost(post);
        equal(first.pending_post_id, pending_post_id, 'pending_post_id');
        const again = await here.client.createPost(post);
        equal(again.id, first.id, 'the id of the retry');
    }],
    ['a remote user shows as name:partner', async () => {
        const shown = await there.client.getUser(held.seen.user_id);
        equal(shown.username, `${here.name}:${here.partner}`, 'the name shown');
        expect(shown.remote_id, 'the remote user has no remote_id');
        equal((await there.client.getUserByUsername(shown.username)).id, shown.id, 'the id by name');
        held.nameThere = shown.username;
    }],
    ['an edit arrives', async () => {
        held.message = `${held.message} edited ${words()}`;
        const edited = await here.client.patchPost({ id: held.own.id, message: held.message });
        equal(edited.message, held.message, "the answer's text");
        const seen = await until('the edit', async () => {
            const post = await there.client.getPost(held.seen.id);
            return post.message === held.message && post;
        });
        expect(seen.edit_at > 0, 'edit_at is not set');
        await event(held.there, 'post_edited', 'post', (post) => post.message === held.message);
    }],
    ['a reply arrives in its thread', async () => {
        const message = `reply ${words()}`;
        await send(there, message, { root_id: held.seen.id });
        const reply = await arrived(here, message);
        equal(reply.root_id, held.own.id, 'root_id of the reply');
        const { order } = await here.client.getPostThread(held.own.id);
        expect(order.includes(held.own.id), 'the thread lacks its root');
        expect(order.includes(reply.id), 'the thread lacks the reply');
    }],
    ['a reaction arrives', async () => {
        await there.client.addReaction(there.id, held.seen.id, EMOJI);
        await until('the reaction', async () => (await reactions(held.own.id)).includes(EMOJI));
        await event(held.here, 'reaction_added', 'reaction', ({ post_id }) => post_id === held.own.id);
        held.reacted = true;
    }],
    ['a removed reaction is gone', async () => {
        expect(held.reacted, 'there is no reaction');
        await there.client.removeReaction(there.id, held.seen.id, EMOJI);
        await until('the removal', async () => !(await reactions(held.own.id)).includes(EMOJI));
        await event(held.here, 'reaction_removed', 'reaction', ({ post_id }) => post_id === held.own.id);
    }],
    ['a file arrives, byte for byte', async () => {
        const form = new FormData();
        form.append('files', new Blob([FILE_BYTES]), 'all bytes.bin');
        form.append('channel_id', here.channel);
        form.append('client_ids', words());
        const { file_infos, client_ids } = await here.client.uploadFile(form);
        equal(client_ids, [form.get('client_ids')], 'client_ids');
        const message = `file ${words()}`;
        await send(here, message, { file_ids: [file_infos[0].id] });
        const post = await arrived(there, message);
        // A file is an event of its own, which comes behind its post.
        const seen = await until("the post's file", async () => {
            const now = await there.client.getPost(post.id);
            return now.file_ids?.length ? now : null;
        });
        equal(seen.file_ids.length, 1, 'the number of files');
        equal(seen.metadata.files[0].name, 'all bytes.bin', "the file's name");
        equal(seen.metadata.files[0].size, FILE_BYTES.length, "the file's size");
        const url = there.client.getFileUrl(seen.file_ids[0]);
        const answer = await fetch(url, there.client.getOptions({ method: 'get' }));
        equal(answer.status, 200, 'the status of the download');
        const got = Buffer.from(await answer.arrayBuffer());
        expect(got.equals(FILE_BYTES), `${got.length} bytes that are not the file's`);
    }],
    ['a word is found at both sides', async () => {
        const word = words();
        const message = `the word is ${word}, once`;
        await send(here, message);
        await arrived(there, message);
        for (const side of [here, there]) {
            const found = await until('the search', async () => {
                const { order, posts } = await side.client.searchPosts(side.team, word, false);
                return order.length > 0 && order.map((id) => posts[id].message);
            });
            equal(found, [message], 'what the search found');
            const nothing = await side.client.searchPosts(side.team, words(), false);
            equal(nothing.order.length, 0, 'what nobody wrote');
        }
    }],
    ['unread posts and mentions are counted', async () => {
        await settled(there, here);
        await here.client.viewMyChannel(here.channel);
        await until('nothing unread', async () => same(await unread(), [0, 0]));
        const message = `@${held.nameThere} look: ${words()}`;
        await send(there, message);
        await arrived(here, message);
        await until('one unread, one mention', async () => same(await unread(), [1, 1]));
        const { data } = await until('posted', () => posted(held.here, message));
        expect(JSON.parse(data.mentions ?? '[]').includes(here.id), 'no mention told');
        await here.client.viewMyChannel(here.channel);
        await until('nothing unread again', async () => same(await unread(), [0, 0]));
    }],
    ['a pin arrives, and its removal', async () => {
        const pinned = async () =>
            (await there.client.getPinnedPosts(there.channel)).order.includes(held.seen.id);
        await here.client.pinPost(held.own.id);
        await until('the pin', pinned);
        equal((await there.client.getPost(held.seen.id)).is_pinned, true, 'is_pinned');
        await here.client.unpinPost(held.own.id);
        await until("the pin's removal", async () => !(await pinned()));
    }],
    ["nobody edits or deletes the other's post", async () => {
        for (const [author, other] of [[here, there], [there, here]]) {
            const message = `mine ${words()}`;
            const own = await send(author, message);
            const seen = await arrived(other, message);
            await refused(other, seen.id);
            // What the other side sends later has arrived: so would the refused change have.
            await settled(other, author);
            for (const [side, id] of [[author, own.id], [other, seen.id]]) {
                const now = await side.client.getPost(id);
                equal(now.message, message, 'the text after the refusals');
                equal(now.delete_at, 0, 'delete_at after the refusals');
            }
        }
    }],
    ['a colleague does not edit or delete it either', async () => {
        const colleague = session(given.here, 1);
        await colleague.client.login(colleague.name, colleague.password);
        await refused(colleague, held.own.id);
        equal((await here.client.getPost(held.own.id)).message, held.message, 'the text');
    }],
    ['a deleted post is gone', async () => {
        const message = `gone soon ${words()}`;
        const own = await send(here, message);
        const seen = await arrived(there, message);
        await here.client.deletePost(own.id);
        for (const side of [here, there]) {
            await until('the deletion', async () => !(await shown(side, message)));
        }
        await event(held.there, 'post_deleted', 'post', ({ id }) => id === seen.id);
        equal(await status(() => there.client.getPost(seen.id)), 404, 'the status of the deleted');
    }],
    ['a cut WebSocket resumes without loss and without a second hello', async () => {
        const before = `before the cut ${words()}`;
        await send(there, before);
        await until('the event before the cut', () => posted(held.here, before));
        held.gate.cut();
        await until('the client notices', () => held.here.closes > 0);
        const missed = [1, 2, 3].map(() => `during the cut ${words()}`);
        for (const message of missed) {
            await send(there, message);
            await arrived(here, message);
        }
        held.gate.heal();
        await until('the events of the meantime', () => missed.every((m) => posted(held.here, m)));
        const texts = held.here.events.filter(({ event: kind }) => kind === 'posted')
            .map(({ data }) => JSON.parse(data.post).message);
        equal(texts.filter((text) => missed.includes(text)), missed, 'the posts of the meantime');
        equal(held.here.events.filter(({ event: kind }) => kind === 'hello').length, 1, 'hellos');
        equal(held.here.missed, 0, 'how often the client had to fetch everything again');
    }],
    ['the resumed WebSocket goes on', async () => {
        const message = `after the cut ${words()}`;
        await send(there, message);
        await until('the event', () => posted(held.here, message));
        equal(held.here.missed, 0, 'how often the client had to fetch everything again');
    }],
    ['after the log-out the token is refused', async () => {
        const token = there.client.getToken();
        await there.client.logout();
        there.client.setToken(token);
        equal(await status(() => there.client.getMe()), 401, 'the status after the log-out');
    }],
];

let failed = 0;
for (const [step, run] of steps) {
    try {
        await run();
        say(step, true, '');
    } catch (error) {
        failed += 1;
        if (!(error instanceof NotTried)) {
            console.error(error);
        }
        const status = error instanceof ClientError ? ` (HTTP ${error.status_code}, ${error.url})` : '';
        const cause = error.cause ? ` (${error.cause.message})` : '';
        say(step, false, `${error.message}${status}${cause}`.replaceAll(/\s+/g, ' '));
    }
}
// The client's timers would keep the process alive.
process.exit(failed > 0 ? 1 : 0);

function say(step, ok, why) {
    process.stdout.write(`${JSON.stringify({ step, ok, why })}\n`);
}

function session(partner, index) {
    const { username, password } = partner.users[index];
    const client = new Client4();
    client.setUrl(partner.url);
    return { client, name: username, password, partner: partner.partner, url: new URL(partner.url) };
}

// Connects the client's WebSocket and waits for hello. It takes a connection's id only if somebody
// listens for missed events.
async function listen(side, { token, port, headers }) {
    const client = new WebSocketClient({
        newWebSocketFn: (url) => new WebSocket(url, { headers }),
        minWebSocketRetryTime: 200,
        maxWebSocketRetryTime: 500,
        reconnectJitterRange: 50,
    });
    const listener = { client, events: [], missed: 0, closes: 0 };
    client.addMessageListener((message) => listener.events.push(message));
    client.addMissedMessageListener(() => { listener.missed += 1; });
    client.addCloseListener(() => { listener.closes += 1; });
    client.addErrorListener(() => {});
    client.initialize(`ws://${side.url.hostname}:${port ?? side.url.port}/api/v4/websocket`, token);
    await until('hello', () => listener.events.length > 0);
    const [hello] = listener.events;
    equal([hello.event, hello.seq], ['hello', 0], 'the first event');
    expect(hello.data.connection_id, 'hello has no connection_id');
    expect(hello.data.server_version, 'hello has no server_version');
    return listener;
}

// A port that leads to the node until it is cut: then connections end without a word and new ones
// are refused, as on a lost link.
async function gate(url) {
    const open = new Set();
    let cut = false;
    const server = net.createServer((near) => {
        if (cut) {
            near.destroy();
            return;
        }
        const far = net.connect(Number(url.port), url.hostname);
        for (const [socket, other] of [[near, far], [far, near]]) {
            open.add(socket);
            socket.on('error', () => {});
            socket.on('close', () => { open.delete(socket); other.destroy(); });
            socket.pipe(other);
        }
    });
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    return {
        port: server.address().port,
        cut() { cut = true; open.forEach((socket) => socket.destroy()); },
        heal() { cut = false; },
    };
}

async function send(side, message, more = {}) {
    expect(held.channels, 'no channel');
    const sent = await side.client.createPost({ channel_id: side.channel, message, ...more });
    equal(sent.message, message, "the answer's text");
    return sent;
}

function arrived(side, message) {
    return until(`'${message}' at ${side.partner}`, () => shown(side, message));
}

async function shown(side, message) {
    const { order, posts } = await side.client.getPosts(side.channel, 0, 60);
    return order.map((id) => posts[id]).find((post) => post.message === message);
}

// A post of the author has arrived: what it did before has, too.
async function settled(author, reader) {
    const message = `marker ${words()}`;
    await send(author, message);
    await arrived(reader, message);
}

// As the web app counts: what the channel has, less what the member has seen of it.
async function unread() {
    const channel = await here.client.getChannel(here.channel);
    const member = await here.client.getMyChannelMember(here.channel);
    return [channel.total_msg_count - member.msg_count, member.mention_count];
}

async function reactions(id) {
    // A post without reactions has null for a list.
    return ((await here.client.getReactionsForPost(id)) ?? []).map(({ emoji_name }) => emoji_name);
}

async function refused(side, id) {
    const edit = () => side.client.patchPost({ id, message: 'not mine' });
    equal(await status(edit), 403, "the status of an edit of another's post");
    equal(await status(() => side.client.deletePost(id)), 403, 'the status of its deletion');
}

async function status(attempt) {
    try {
        await attempt();
        return 200;
    } catch (error) {
        if (error instanceof ClientError) {
            return error.status_code;
        }
        throw error;
    }
}

function posted(listener, message) {
    return listener.events.find(
        ({ event: kind, data }) => kind === 'posted' && JSON.parse(data.post).message === message,
    );
}

function event(listener, kind, inner, fits) {
    return until(`the event ${kind}`, () => listener.events.find(
        (candidate) => candidate.event === kind && fits(JSON.parse(candidate.data[inner])),
    ));
}

async function until(what, condition) {
    const deadline = Date.now() + given.wait_s * 1000;
    for (;;) {
        const found = await condition();
        if (found) {
            return found;
        }
        if (Date.now() > deadline) {
            throw new Error(`${what}: not within ${given.wait_s} s`);
        }
        await new Promise((resolve) => { setTimeout(resolve, LOOK_EVERY_MS); });
    }
}

function same(one, other) {
    return JSON.stringify(one) === JSON.stringify(other);
}

function equal(is, shouldBe, what) {
    expect(same(is, shouldBe), `${what} is ${JSON.stringify(is)}, should be ${JSON.stringify(shouldBe)}`);
}

function expect(condition, what) {
    if (!condition) {
        throw new Error(what);
    }
}

// Words that nobody has written yet, the same for the same seed (mulberry32).
function wordsFrom(seed) {
    let state = [...seed].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), 7) >>> 0;
    const letters = 'abcdefghijkmnpqrstuvwxyz';
    const draw = () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = Math.imul(state ^ (state >>> 15), state | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return (t ^ (t >>> 14)) >>> 0;
    };
    return () => `n${Array.from({ length: 14 }, () => letters[draw() % letters.length]).join('')}`;
}
