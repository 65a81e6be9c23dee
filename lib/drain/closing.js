'use strict';

/**
 * Ends the connections of a worker that goes, each as gently as its protocol allows.
 *
 * A client may send its next request in the moment in which an idle connection is closed, and then
 * that request fails. So a connection that was used just now is not closed but given a little time:
 * a client with more to ask uses it, and is told by `Connection: close` to go elsewhere.
 */

const { Server } = require('net');

const { makeLast } = require('./response');

/** A TLS handshake takes some round trips; nothing is known of its client before it is done. */
const HANDSHAKE_GRACE = 5000;

/** The highest stream: «send no more»; which ones are answered, another frame says. */
const LAST_STREAM = 2 ** 31 - 1;

/** An unmasked close frame with code 1001, «going away». */
const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

/** @typedef {import('./connections').Connection} Connection */

/**
 * @typedef {object} Options
 * @property {number} keepAliveGrace
 * @property {boolean} closeWebSockets
 * @property {(socket: any, info: object) => boolean} tell the app about a socket that it should
 * end; false if it does not listen
 */

class Closing {
  #connections;
  #options;
  /** When the next sweep is due. */
  #sweepAt = Infinity;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** Whether the app may be told of sockets already. */
  #telling = false;

  /**
   * @param {InstanceType<typeof import('./connections').Connections>} connections
   * @param {Options} options
   */
  constructor(connections, options) {
    this.#connections = connections;
    this.#options = options;
  }

  /** From now on all that is idle, or gets so, is closed. */
  begin() {
    const { servers, all, sessions } = this.#connections;
    for (const server of servers) {
      // `close()` of an HTTP server would cut idle connections off without the grace.
      if (typeof server.closeIdleConnections === 'function') server.closeIdleConnections = () => {};
      // From Node 24 on that of an HTTP/2 server would end its sessions.
      if (typeof server.updateSettings === 'function') server.close = Server.prototype.close;
    }
    this.#connections.observer = {
      opened: (connection) => {
        this.#sweepSoon(this.#options.keepAliveGrace);
        this.#tell(connection);
      },
      requested: (connection) => this.#makeLast(connection),
      upgraded: (connection) => this.#tell(connection),
      session: (session) => this.#endSession(session),
      changed: () => this.#sweepSoon(this.#options.keepAliveGrace),
    };
    for (const connection of all.values()) {
      if (connection.active > 0) this.#makeLast(connection);
    }
    for (const session of sessions) this.#endSession(session);
    // What has arrived is read first: then it is known who is idle.
    setImmediate(() => this.#sweep());
  }

  /** The app has had its chance to listen: tells it of the sockets that are its own. */
  tell() {
    this.#telling = true;
    for (const connection of this.#connections.all.values()) this.#tell(connection);
  }

  /** Closes the servers that nobody else closes: they do not listen through the primary. */
  closeServers() {
    for (const server of this.#connections.servers) if (server.listening) server.close();
  }

  #makeLast(/** @type {Connection} */ connection) {
    const response = connection.newest;
    makeLast(response, () => connection.newest === response);
  }

  /**
   * Once the first GOAWAY is out, Node answers no stream that comes after it, whatever that frame
   * has promised. So it is sent when the next request has arrived: its client knows before it has
   * the answer, and has no reason to send another. What was on its way all the same, the GOAWAY of
   * `close()` leaves out, and its client may send it again elsewhere.
   */
  #endSession(/** @type {any} */ session) {
    const close = () => {
      if (!session.closed && !session.destroyed) session.close();
    };
    session.prependOnceListener('stream', () => {
      if (session.closed || session.destroyed) return;
      session.goaway(0, LAST_STREAM);
      // What has come along with it is read first.
      setImmediate(close);
    });
    const timer = setTimeout(close, this.#options.keepAliveGrace);
    session.once('close', () => clearTimeout(timer));
  }

  #tell(/** @type {Connection} */ connection) {
    const { kind, protocol, server, socket, told } = connection;
    if (told || !this.#telling || (kind !== 'upgrade' && kind !== 'raw')) return;
    connection.told = true;
    if (this.#options.tell(socket, { kind, protocol, server })) return;
    if (protocol === 'websocket' && this.#options.closeWebSockets) this.#closeWebSocket(connection);
  }

  /** Its library takes the client's answer for a close like any other. */
  #closeWebSocket(/** @type {{ socket: any, bytesWritten: number }} */ { socket, bytesWritten }) {
    if (socket.destroyed || !socket.writable) return;
    // Before the answer to the handshake there is nothing to close.
    if (socket.bytesWritten > bytesWritten) socket.write(GOING_AWAY);
    else setTimeout(() => this.#closeWebSocket({ socket, bytesWritten }), 50).unref();
  }

  #sweepSoon(/** @type {number} */ delay) {
    const at = performance.now() + delay;
    if (at >= this.#sweepAt) return;
    clearTimeout(this.#timer);
    this.#sweepAt = at;
    // What it looks after keeps the process alive by itself.
    this.#timer = setTimeout(() => this.#sweep(), delay).unref();
  }

  #sweep() {
    this.#sweepAt = Infinity;
    const now = performance.now();
    const { all } = this.#connections;
    const secured = securedAmong(all.values());
    for (const connection of all.values()) {
      const grace = this.#graceOf(connection, secured);
      if (grace === undefined) continue;
      const { kind, socket } = connection;
      if (kind === 'http' && socket.bytesRead !== connection.bytesRead) {
        // A request is on its way, in pieces.
        connection.bytesRead = socket.bytesRead;
        connection.quietSince = now;
      }
      const left = connection.quietSince + grace - now;
      if (left > 0) this.#sweepSoon(left + 1);
      else socket.destroySoon();
    }
  }

  /**
   * For how long a connection may be idle; undefined if that is not ours to decide.
   * @param {Connection} connection
   * @param {Set<string>} secured
   */
  #graceOf({ active, kind, socket }, secured) {
    if (kind === 'http') return active === 0 ? this.#options.keepAliveGrace : undefined;
    return kind === 'handshake' && !secured.has(peerOf(socket)) ? HANDSHAKE_GRACE : undefined;
  }
}

/** The clients that have completed a handshake: their TCP sockets are left to their TLS sockets. */
function securedAmong(/** @type {Iterable<Connection>} */ connections) {
  const secured = new Set();
  for (const { kind, socket } of connections) {
    if (kind !== 'handshake' && socket.encrypted) secured.add(peerOf(socket));
  }
  return secured;
}

function peerOf(/** @type {any} */ { remoteAddress, remotePort }) {
  return `${remoteAddress} ${remotePort}`;
}

module.exports = { Closing };
