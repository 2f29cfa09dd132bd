// Real nodes for the page's tests, made by the commands that sysadmins use.
import { execFile, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Relay } from './relay.mjs';

const run = promisify(execFile);
export const PASSWORD = 'correct horse battery';
/** How long anything may take that is waited for, in milliseconds. */
export const PATIENCE = 60_000;

/** Waits until something is so, and gives it. */
export async function until(what, found, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const it = await found();
    if (it) return it;
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((go) => setTimeout(go, 50));
  }
}

function freeTcp() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function freeUdp() {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4').once('error', reject);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

export class Node {
  constructor(mesh, partner) {
    this.mesh = mesh;
    this.partner = partner;
    this.dir = path.join(mesh.place, partner);
    this.users = [];
  }

  async make() {
    this.port = await freeUdp();
    this.http = await freeTcp();
    this.url = `http://127.0.0.1:${this.http}`;
    const front = await this.mesh.relay.front(this.port);
    await this.comity('init', this.partner, '--listen', `127.0.0.1:${this.port}`, '--address', `127.0.0.1:${front}`, '--http', `127.0.0.1:${this.http}`);
  }

  /** Runs a command for this node, and gives what it printed. */
  async comity(...words) {
    const { stdout } = await run(this.mesh.binary, ['--dir', this.dir, ...words], { maxBuffer: 64 << 20 });
    return stdout;
  }

  /** As {@link comity}, as objects. */
  async told(...words) {
    const text = await this.comity('--json', ...words);
    return text.split('\n').filter((it) => it.trim()).map((it) => JSON.parse(it));
  }

  async start() {
    const log = fs.openSync(path.join(this.mesh.place, `${this.partner}.log`), 'a');
    this.process = spawn(this.mesh.binary, ['--dir', this.dir, 'serve'], { stdio: ['ignore', log, log] });
    await until(`${this.partner} answers`, () => fetch(`${this.url}/api/v4/system/ping`).then((it) => it.ok, () => false));
  }

  /** Kills the node at once. */
  async kill() {
    const ended = new Promise((go) => this.process.once('exit', go));
    this.process.kill('SIGKILL');
    await ended;
  }

  async addUser(name, ...roles) {
    const file = path.join(this.mesh.place, 'password');
    fs.writeFileSync(file, `${PASSWORD}\n`, { mode: 0o600 });
    await this.comity('user', 'add', name, '--password-file', file, ...roles.flatMap((it) => ['--role', it]));
    this.users.push(name);
  }

  /** A request by one of its users. */
  async ask(user, method, place, body) {
    this.tokens ??= {};
    if (!this.tokens[user]) {
      const answer = await fetch(`${this.url}/api/v4/users/login`, { method: 'POST', body: JSON.stringify({ login_id: user, password: PASSWORD }), headers: { 'content-type': 'application/json' } });
      if (!answer.ok) throw new Error(`${user} cannot log in at ${this.partner}: ${answer.status}`);
      this.tokens[user] = answer.headers.get('token');
    }
    const answer = await fetch(`${this.url}${place}`, { method, body: body && JSON.stringify(body), headers: { authorization: `Bearer ${this.tokens[user]}`, 'content-type': 'application/json' } });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  }
}

export class Mesh {
  constructor(binary) {
    this.binary = path.resolve(binary);
    this.place = fs.mkdtempSync(path.join(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'comity-page-'));
    this.relay = new Relay();
    this.nodes = {};
  }

  async node(partner) {
    const node = new Node(this, partner);
    this.nodes[partner] = node;
    await node.make();
    return node;
  }

  /** Two sysadmins exchange files and compare the words. */
  async peer(one, other) {
    const [invitation, reply] = ['invitation', 'reply'].map((it) => path.join(this.place, `${it}-${one.partner}-${other.partner}`));
    await one.comity('peer', 'invite', '--out', invitation);
    const [theirs] = await other.told('peer', 'accept', invitation, '--out', reply);
    const [ours] = await one.told('peer', 'accept', reply);
    await one.comity('peer', 'approve', other.partner, '--words', theirs.words.join(' '));
    await other.comity('peer', 'approve', one.partner, '--words', ours.words.join(' '));
  }

  /** A channel that these partners share, the first being its owner. */
  async channel(name, [first, ...others]) {
    await first.comity('channel', 'create', name);
    for (const other of others) {
      await first.comity('channel', 'share', name, other.partner);
      await until(`${other.partner} is invited to ${name}`, async () => (await other.told('channel', 'list')).some((it) => it.name === name));
      await other.comity('channel', 'accept', name);
    }
    const all = [first, ...others];
    for (const node of all) {
      await until(`${node.partner} sees all partners in ${name}`, async () => {
        const channel = (await node.told('channel', 'list')).find((it) => it.name === name);
        return channel?.members.filter((it) => it.status === 'active').length === all.length;
      });
    }
  }

  cut(one, other) {
    this.relay.cut(one.port, other.port);
    this.relay.cut(one.port, this.relay.fronts.get(other.port));
    this.relay.cut(other.port, this.relay.fronts.get(one.port));
  }

  heal(one, other) {
    this.relay.heal(one.port, other.port);
    this.relay.heal(one.port, this.relay.fronts.get(other.port));
    this.relay.heal(other.port, this.relay.fronts.get(one.port));
  }

  end(keep) {
    for (const node of Object.values(this.nodes)) node.process?.kill('SIGKILL');
    this.relay.close();
    if (!keep) fs.rmSync(this.place, { recursive: true, force: true });
  }
}
