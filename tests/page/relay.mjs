// Stands between nodes: each is known to the others by a port of the relay, so that the link between
// two of them can be cut both ways and restored.
import dgram from 'node:dgram';

/** A socket on a free port of this machine. */
function bound() {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => resolve(socket));
  });
}

export class Relay {
  constructor() {
    /** Port that the others know, by the node's own. */
    this.fronts = new Map();
    /** Pairs of own ports whose link is cut. */
    this.cuts = new Set();
    this.dropped = 0;
    this.sockets = [];
  }

  /** The port by which others reach the node that listens on `own`. */
  async front(own) {
    const front = await bound();
    this.sockets.push(front);
    const behind = new Map();
    front.on('message', async (bytes, from) => {
      if (this.isCut(own, from.port)) return;
      if (!behind.has(from.port)) behind.set(from.port, this.carrier(front, from.port, own));
      (await behind.get(from.port)).send(bytes, own, '127.0.0.1');
    });
    this.fronts.set(own, front.address().port);
    return front.address().port;
  }

  /** Carries between one peer and the node; what the node answers goes back by the front. */
  async carrier(front, peer, own) {
    const socket = await bound();
    this.sockets.push(socket);
    socket.on('message', (bytes) => {
      if (!this.isCut(own, peer)) front.send(bytes, peer, '127.0.0.1');
    });
    return socket;
  }

  isCut(one, other) {
    const cut = this.cuts.has(`${Math.min(one, other)} ${Math.max(one, other)}`);
    if (cut) this.dropped += 1;
    return cut;
  }

  cut(one, other) {
    this.cuts.add(`${Math.min(one, other)} ${Math.max(one, other)}`);
  }

  heal(one, other) {
    this.cuts.delete(`${Math.min(one, other)} ${Math.max(one, other)}`);
  }

  close() {
    this.sockets.forEach((it) => it.close());
  }
}
