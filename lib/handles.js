'use strict';

/**
 * Sockets and servers that a program sends with a message: to a descriptor here, from a descriptor
 * there. A connection of the balancer's does not come this way.
 */

const { EventEmitter } = require('events');
const fs = require('fs');
const net = require('net');

const errors = require('./errors');
const internals = require('./internals');

/** Most programs never need it. */
const dgram = () => require('dgram');

/**
 * What travels with the descriptor.
 * @typedef {object} Envelope
 * @property {string} type what the receiver makes of the descriptor
 * @property {string} [key] which server of the sender's counts the socket
 * @property {'udp4' | 'udp6'} [dgramType]
 * @property {unknown} msg the user's message
 */

/**
 * A handle that is ready to travel. `owned`: nobody else can close it before `release` does.
 * @typedef {{ envelope: Envelope, fd: number, owned: boolean, release: () => void }} Prepared
 */

/** @typedef {{ keepOpen?: boolean, swallowErrors?: boolean }} SendOptions */

/**
 * The part of a channel that the bookkeeping of sent sockets needs.
 * @typedef {object} Peer
 * @property {EventEmitter & { connected: boolean }} target
 * @property {(message: object, swallowErrors: boolean) => void} sendInternal
 * @property {Map<string, SentSockets>} sent
 * @property {Map<string, ReceivedSockets>} received
 */

module.exports = { prepare, receive, typeOf };

/** What kind of thing a program wants to send; throws ERR_INVALID_HANDLE_TYPE if it cannot be. */
function typeOf(/** @type {unknown} */ handle) {
  if (handle instanceof net.Socket) return 'net.Socket';
  if (handle instanceof net.Server) return 'net.Server';
  if (internals.isDgramSocket(handle)) return 'dgram.Socket';
  const kind = internals.kindOfRawHandle(handle);
  if (kind) return kind === 'udp' ? 'dgram.Native' : 'net.Native';
  throw errors.invalidHandleType();
}

/**
 * Makes a handle ready to travel. `null` if it has no descriptor (any more): then the message goes
 * alone, as with the builtin.
 * @param {Peer} peer
 * @param {unknown} message
 * @param {any} handle
 * @param {SendOptions} options
 * @returns {Prepared | null}
 */
function prepare(peer, message, handle, options) {
  const type = typeOf(handle);
  /** @type {Envelope} */
  const envelope = { type, msg: message };
  const raw = internals.isRawHandle(handle) ? handle : internals.handleOf(handle);
  // Closed meanwhile, or a server whose connections come from the primary.
  if (!raw || !(raw.fd >= 0)) return null;
  let release = () => {};
  if (type === 'net.Socket') {
    if (internals.isSocketOfServer(handle)) {
      const key = internals.connectionKey(handle);
      envelope.key = key;
      let list;
      if (!peer.sent.has(key)) {
        list = new SentSockets(peer, key);
        peer.sent.set(key, list);
      }
      internals.trackSentSocket(handle, list, Boolean(options.keepOpen));
    }
    if (!options.keepOpen) {
      internals.detachSocket(handle);
      release = () => internals.closeStream(raw);
    }
  } else if (type === 'dgram.Socket') {
    envelope.dgramType = handle.type;
  }
  const owned = type === 'net.Socket' && !options.keepOpen;
  return { envelope, fd: raw.fd, owned, release };
}

/**
 * Makes what was sent out of a descriptor, and calls back when it is usable.
 * @param {Peer} peer
 * @param {Envelope} envelope
 * @param {number} fd
 * @param {(handle: any) => void} done
 */
function receive(peer, envelope, fd, done) {
  switch (envelope.type) {
    case 'net.Native':
      return done(internals.serverHandle(fd));
    case 'dgram.Native':
      return done(internals.dgramHandle(fd, dgram().createSocket('udp4').unref()));
    case 'net.Server': {
      const server = new net.Server();
      server.once('listening', () => done(server));
      return internals.listenOn(server, internals.serverHandle(fd));
    }
    case 'dgram.Socket': {
      const socket = dgram().createSocket(envelope.dgramType ?? 'udp4');
      const handle = internals.dgramHandle(fd, socket);
      return void socket.bind(/** @type {any} */ (handle), () => done(socket));
    }
    case 'net.Socket': {
      const handle = internals.streamHandle(fd);
      const socket = new net.Socket(
        /** @type {any} */ ({ handle, readable: true, writable: true }),
      );
      if (envelope.key) receivedList(peer, envelope.key).add(socket);
      return done(socket);
    }
    default:
      fs.closeSync(fd);
      throw new Error(`A handle of unknown type was received: ${envelope.type}`);
  }
}

/** @param {Peer} peer @param {string} key */
function receivedList(peer, key) {
  let list = peer.received.get(key);
  if (!list) {
    list = new ReceivedSockets(peer, key);
    peer.received.set(key, list);
  }
  return list;
}

/**
 * The sockets of one server that were sent to one peer, as the server sees them: `net.Server` asks
 * this for `getConnections()` and waits for it on `close()`. Its methods and events are net's.
 */
class SentSockets extends EventEmitter {
  #peer;

  /** @param {Peer} peer @param {string} key */
  constructor(peer, key) {
    super();
    this.#peer = peer;
    this.key = key;
    peer.target.once('exit', () => this.emit('exit', this));
  }

  /** @param {(error: Error | null) => void} callback when the peer has closed them all */
  close(callback) {
    const request = { cmd: 'NODE_SOCKET_NOTIFY_CLOSE', key: this.key };
    this.#ask(request, 'NODE_SOCKET_ALL_CLOSED', true, callback);
  }

  /** @param {(error: Error | null, count?: number) => void} callback */
  getConnections(callback) {
    const request = { cmd: 'NODE_SOCKET_GET_COUNT', key: this.key };
    this.#ask(request, 'NODE_SOCKET_COUNT', false, (error, reply) => callback(error, reply?.count));
  }

  /**
   * @param {object} request
   * @param {string} answer
   * @param {boolean} swallowErrors
   * @param {(error: Error | null, reply?: any) => void} callback
   */
  #ask(request, answer, swallowErrors, callback) {
    const { target, sendInternal } = this.#peer;
    const onReply = (/** @type {any} */ message) => {
      if (message.cmd !== answer || message.key !== this.key) return;
      target.removeListener('disconnect', onEnd);
      target.removeListener('internalMessage', onReply);
      callback(null, message);
    };
    const onEnd = () => {
      target.removeListener('internalMessage', onReply);
      callback(errors.childClosedBeforeReply());
    };
    if (!target.connected) return onEnd();
    target.once('disconnect', onEnd);
    target.on('internalMessage', onReply);
    return sendInternal(request, swallowErrors);
  }
}

/** The sockets that one server of the peer's has sent here. Answers {@link SentSockets}. */
class ReceivedSockets extends EventEmitter {
  #open = 0;
  #peer;
  #key;

  /** @param {Peer} peer @param {string} key */
  constructor(peer, key) {
    super();
    this.#peer = peer;
    this.#key = key;
    peer.target.on('internalMessage', (message) => {
      if (message.key === key) this.#answer(message.cmd);
    });
  }

  /** @param {net.Socket} socket */
  add(socket) {
    this.#open++;
    socket.once('close', () => {
      this.#open--;
      if (this.#open === 0) this.emit('empty');
    });
  }

  #answer(/** @type {string} */ command) {
    if (command === 'NODE_SOCKET_NOTIFY_CLOSE') {
      if (this.#open === 0) this.#sayAllClosed();
      else this.once('empty', () => this.#sayAllClosed());
    } else if (command === 'NODE_SOCKET_GET_COUNT' && this.#peer.target.connected) {
      const count = { cmd: 'NODE_SOCKET_COUNT', key: this.#key, count: this.#open };
      this.#peer.sendInternal(count, false);
    }
  }

  #sayAllClosed() {
    if (!this.#peer.target.connected) return;
    this.#peer.sendInternal({ cmd: 'NODE_SOCKET_ALL_CLOSED', key: this.#key }, true);
  }
}
