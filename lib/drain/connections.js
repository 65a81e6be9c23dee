'use strict';

/**
 * Knows the servers of this process, their sockets, and what each socket is busy with, whichever
 * framework has made them. Every server of Node's inherits `emit` from `net.Server`, and what
 * happens to a server is an event, so looking at events is enough. What is done about the sockets
 * when the worker has to go stands in `closing.js`.
 */

const { Server } = require('net');

/**
 * - `http`: HTTP/1, between or in requests
 * - `http2`: has a session, which is tracked instead
 * - `handshake`: under a TLS socket, which is tracked by itself once the handshake is done
 * - `upgrade`: after an HTTP upgrade or CONNECT
 * - `raw`: of a server of `net` or `tls`
 * @typedef {'http' | 'http2' | 'handshake' | 'upgrade' | 'raw'} Kind
 */

/**
 * @typedef {object} Connection
 * @property {any} socket
 * @property {any} server
 * @property {Kind} kind
 * @property {number} active requests that have no complete response yet
 * @property {any} newest the response to the last request
 * @property {number} quietSince when the last response ended
 * @property {number} bytesRead at that time
 * @property {string} [protocol] of an upgrade
 * @property {number} bytesWritten when it was upgraded
 * @property {boolean} told whether the app knows that it should end it
 */

/**
 * @typedef {object} Observer while the worker goes
 * @property {(connection: Connection) => void} opened
 * @property {(connection: Connection) => void} requested
 * @property {(connection: Connection) => void} upgraded
 * @property {(session: any) => void} session
 * @property {() => void} changed
 */

class Connections {
  /** @type {Map<any, Connection>} */
  all = new Map();
  /** HTTP/2 sessions. @type {Set<any>} */
  sessions = new Set();
  /** Those that listen. @type {Set<any>} */
  servers = new Set();
  /** How many connections there have been. */
  total = 0;
  /** @type {Observer | undefined} */
  observer;
  /** @type {(() => void) | undefined} */
  onConnection;

  watch() {
    const inherited = Server.prototype.emit;
    const note = this.#note.bind(this);
    /** @this {any} @param {any[]} args */
    Server.prototype.emit = function emit(...args) {
      note(this, args);
      return Reflect.apply(inherited, this, args);
    };
  }

  #note(/** @type {any} */ server, /** @type {any[]} */ [event, first, second]) {
    switch (event) {
      case 'listening':
        this.servers.add(server);
        break;
      case 'close':
        this.servers.delete(server);
        break;
      case 'connection':
        this.total++;
        this.#add(first, server, isTls(server) ? 'handshake' : kindOf(server));
        this.onConnection?.();
        break;
      case 'secureConnection':
        this.#add(first, server, kindOf(server, first));
        break;
      case 'request':
      case 'checkContinue':
      case 'checkExpectation':
        if (first.httpVersionMajor === 1) this.#onRequest(server, first.socket, second);
        break;
      case 'upgrade':
      case 'connect':
        if (first.httpVersionMajor === 1) this.#onUpgrade(server, event, first, second);
        break;
      case 'session':
        if (kindOf(server) === 'http2') this.#onSession(first);
        break;
      default:
    }
  }

  #add(/** @type {any} */ socket, /** @type {any} */ server, /** @type {Kind} */ kind) {
    const known = this.all.get(socket);
    if (known) return known;
    /** @type {Connection} */
    const connection = {
      socket,
      server,
      kind,
      active: 0,
      newest: undefined,
      quietSince: performance.now(),
      bytesRead: 0,
      bytesWritten: 0,
      told: false,
    };
    this.all.set(socket, connection);
    socket.once('close', () => {
      this.all.delete(socket);
      this.observer?.changed();
    });
    this.observer?.opened(connection);
    return connection;
  }

  #onRequest(/** @type {any} */ server, /** @type {any} */ socket, /** @type {any} */ response) {
    const connection = this.#add(socket, server, 'http');
    connection.active++;
    connection.newest = response;
    response.once('close', () => {
      connection.active--;
      connection.quietSince = performance.now();
      connection.bytesRead = socket.bytesRead;
      this.observer?.changed();
    });
    this.observer?.requested(connection);
  }

  /** @param {any} server @param {string} event @param {any} request @param {any} socket */
  #onUpgrade(server, event, request, socket) {
    const connection = this.#add(socket, server, 'http');
    connection.kind = 'upgrade';
    connection.protocol =
      event === 'connect' ? 'connect' : String(request.headers.upgrade ?? '').toLowerCase();
    connection.bytesWritten = socket.bytesWritten;
    this.observer?.upgraded(connection);
  }

  #onSession(/** @type {any} */ session) {
    this.sessions.add(session);
    session.once('close', () => {
      this.sessions.delete(session);
      this.observer?.changed();
    });
    this.observer?.session(session);
  }
}

/** By what only servers that speak TLS have. */
function isTls(/** @type {any} */ server) {
  return typeof server.setSecureContext === 'function';
}

/**
 * What a server speaks, told by documented methods: `http`, `https` and `http2` need not be loaded
 * for it.
 * @param {any} server
 * @param {any} [tlsSocket] a server of HTTP/2 may speak HTTP/1 as well
 * @returns {Kind}
 */
function kindOf(server, tlsSocket) {
  if (typeof server.updateSettings === 'function') {
    return tlsSocket && tlsSocket.alpnProtocol !== 'h2' ? 'http' : 'http2';
  }
  return typeof server.closeIdleConnections === 'function' ? 'http' : 'raw';
}

module.exports = { Connections };
