'use strict';

/**
 * The cluster object of a worker. `connect()` is called once, before user code runs.
 * https://nodejs.org/api/cluster.html
 */

const { addon } = require('./addon');
const { Channel, check, tell } = require('./channel');
const errors = require('./errors');
const internals = require('./internals');
const { Worker } = require('./worker');

module.exports = { askForServer, connect };

/** What was asked of the primary and not yet answered, by server id. */
const asked = new Map();

/** The servers of this process that the primary knows, by id. @type {Map<number, Server>} */
const servers = new Map();

/**
 * How many servers there are for a target: the second on a port is not the twin of another
 * worker's first. @type {Map<string, { next: number, used: Set<number> }>}
 */
const indexes = new Map();

/** @typedef {{ owner: any, handle: any, pipe: boolean, balanced: boolean }} Server */

/** @type {import('../native').Worker} */
let native;

/** How many connections are open here: one number, which the primary sees. @type {Uint32Array} */
let openConnections;

/** @type {InstanceType<typeof Channel>} */
let channel;

/** This process's. @type {any} */
let worker;

/**
 * Connects this process to its primary.
 * @param {import('../native').Greeting} greeting
 * @param {number} id
 */
function connect(greeting, id) {
  const { resolutions } = greeting;
  if (resolutions) internals.adoptResolutions(JSON.parse(resolutions));
  if (internals.builtin.worker) internals.removeBuiltinWorkerListeners();
  native = new addon.Worker(greeting, onEvent);
  openConnections = native.openConnections;
  channel = new Channel(process, native.channel(), native.advanced, {
    beforeClose: () => native.goodbye(),
  });
  countListeners(channel.reference);

  worker = new /** @type {any} */ (Worker)({ id, process, state: 'online' });
  // Nothing to announce: this runs before any module that could have imported it.
  internals.adopt({ Worker, worker, broadcast, native: true });
  internals.setServerHandler(askForServer);
  process.once('disconnect', onDisconnect);
  process.on('exit', (code) => {
    channel.outbox.exit();
    // Not so after a crash: then the primary keeps our listeners for a moment for a successor.
    if (code === 0 && process.connected) native.goodbye();
  });
}

/** Called when the primary has acknowledged that this worker leaves. @type {() => void} */
let onLeaveAcknowledged = () => {};

/** The channel keeps the process alive as long as someone listens. */
function countListeners(
  /** @type {InstanceType<typeof import('./reference').Reference>} */ reference,
) {
  const counted = (/** @type {string | symbol} */ name) =>
    name === 'message' || name === 'disconnect';
  process.on('newListener', (name) => {
    if (counted(name)) reference.refCounted();
  });
  process.on('removeListener', (name) => {
    if (counted(name)) reference.unrefCounted();
  });
}

function onDisconnect() {
  worker.emit('disconnect');
  // The primary has died or has cut the channel: without it this process has no purpose.
  if (!worker.exitedAfterDisconnect) process.exit(0);
}

/**
 * @param {import('../native').EventType} type
 * @param {any} first @param {any} second @param {any} third what is said with it
 */
function onEvent(type, first, second, third) {
  switch (type) {
    case addon.EventType.Bound:
      onBound(first, second);
      break;
    case addon.EventType.Connection:
      onConnection(first, second, third);
      break;
    case addon.EventType.LeaveAcknowledged:
      heard({ act: 'exitedAfterDisconnect' });
      onLeaveAcknowledged();
      break;
    case addon.EventType.Leave:
      heard({ act: 'disconnect' });
      leave(true);
      break;
    default:
      channel.onEvent(type, first, second);
  }
}

/** What the primary says is emitted in the builtin's form as well: programs listen for it. */
function heard(/** @type {object} */ message) {
  process.emit(/** @type {any} */ ('internalMessage'), { cmd: 'NODE_CLUSTER', ...message });
}

/** @param {unknown} message to all other workers */
function broadcast(message) {
  check(message);
  if (!process.connected) throw errors.channelClosed();
  channel.broadcast(message);
}

// Servers ----------------------------------------------------------------------------------------

/**
 * Asks the primary for a socket on behalf of `net` or `dgram`.
 * @param {any} owner a net.Server or a dgram.Socket
 * @param {any} options
 * @param {(errno: number, handle: any) => void} reply
 */
function askForServer(owner, options, reply) {
  const { address, port, addressType, fd } = options;
  // Older Nodes ask the primary even for a handle that is here already.
  if (port === -1 && typeof address !== 'string' && !(fd >= 0)) {
    const handle = internals.takeHandle(owner);
    process.nextTick(reply, 0, handle);
    return;
  }
  const isPipe = port < 0 && typeof address === 'string';
  // Few listen on a pipe, and none of the others needs `path`.
  const target = isPipe ? require('path').resolve(address) : address;
  const key = [target, port, addressType, fd].join(':');
  const index = takeIndex(key);
  const data = internals.serverDataOf(owner);
  const request = {
    kind: kindOf(isPipe, addressType, fd),
    address: target ?? undefined,
    port: typeof port === 'number' && port >= 0 ? port : undefined,
    fd: fd >= 0 ? fd : undefined,
    key: `${key}:${index}`,
    backlog: options.backlog > 0 ? options.backlog : undefined,
    ...internals.bindFlags(addressType, options.flags),
    readableAll: Boolean(options.readableAll),
    writableAll: Boolean(options.writableAll),
    data: data === undefined ? undefined : JSON.stringify(data),
  };
  let id = 0;
  tell(process, { act: 'queryServer', index, ...options }, () => {
    id = native.listen(request);
    asked.set(id, { owner, reply, release: () => releaseIndex(key, index) });
  });
  owner.once('listening', () => {
    if (!servers.has(id)) return;
    worker.state = 'listening';
    const info = { addressType, address: target, port: owner.address()?.port || port, fd };
    tell(process, { act: 'listening', ...info }, () => native.listening(id, JSON.stringify(info)));
  });
}

/** @param {boolean} isPipe @param {any} addressType @param {any} fd */
function kindOf(isPipe, addressType, fd) {
  if (addressType === 'udp4' || addressType === 'udp6') return fd >= 0 ? 'udp-fd' : addressType;
  if (fd >= 0) return 'fd';
  return isPipe ? 'pipe' : 'tcp';
}

function takeIndex(/** @type {string} */ key) {
  let entry = indexes.get(key);
  if (!entry) {
    entry = { next: 0, used: new Set() };
    indexes.set(key, entry);
  }
  const index = entry.next++;
  entry.used.add(index);
  return index;
}

function releaseIndex(/** @type {string} */ key, /** @type {number} */ index) {
  const entry = indexes.get(key);
  entry?.used.delete(index);
  if (entry?.used.size === 0) indexes.delete(key);
}

/** @param {number} id @param {import('../native').BoundAnswer} answer */
function onBound(id, { errno, sockname, data, pipe, fd }) {
  const { owner, reply, release } = asked.get(id);
  asked.delete(id);
  heard({ ack: id, errno, key: id });
  if (data !== undefined && data !== null) internals.setServerData(owner, JSON.parse(data));
  if (errno !== 0) {
    release();
    reply(errno, null);
    return;
  }
  const isUdp = internals.isDgramSocket(owner);
  const forget = () => {
    if (!servers.delete(id)) return;
    release();
    tell(process, { act: 'close', key: id }, () => native.closeServer(id));
  };
  const handle =
    fd === undefined || fd === null
      ? balancedHandle(sockname, forget)
      : sharedHandle(isUdp ? internals.dgramHandle(fd, owner) : internals.serverHandle(fd), forget);
  const balanced = fd === undefined || fd === null;
  servers.set(id, { owner, handle, pipe, balanced });
  if (balanced) internals.onConnectionClosed(owner, publishConnections);
  reply(0, handle);
}

/** A handle whose connections come from the primary: `net` sees no difference. */
function balancedHandle(
  /** @type {import('../native').Sockname | undefined | null} */ sockname,
  /** @type {() => void} */ forget,
) {
  let keeps = false;
  let open = true;
  const keep = (/** @type {boolean} */ wanted) => {
    if (wanted !== keeps) native.keepAlive(wanted);
    keeps = wanted;
  };
  /** @type {any} */
  const handle = {
    listen: () => 0,
    ref: () => keep(open),
    unref: () => keep(false),
    hasRef: () => keeps,
    close(/** @type {(() => void) | undefined} */ done) {
      if (open) {
        open = false;
        keep(false);
        forget();
      }
      if (typeof done === 'function') process.nextTick(done);
    },
  };
  if (sockname) {
    handle.getsockname = (/** @type {object} */ out) => {
      if (open) Object.assign(out, sockname);
      return 0;
    };
  }
  handle.ref();
  return handle;
}

/** A handle of the system's, shared with other workers: the primary is told when it is closed. */
function sharedHandle(/** @type {any} */ handle, /** @type {() => void} */ forget) {
  const close = handle.close;
  handle.close = (/** @type {any[]} */ ...args) => {
    forget();
    return Reflect.apply(close, handle, args);
  };
  return handle;
}

/** @param {number} id @param {number} listener @param {number} fd */
function onConnection(id, listener, fd) {
  const server = servers.get(id);
  if (!server || isFull(server.owner)) {
    native.refuse(listener, fd);
    publishConnections();
    return;
  }
  server.handle.onconnection(0, internals.streamHandle(fd, server.pipe ? 'pipe' : 'tcp'));
  publishConnections();
}

/** For the primary's view of this worker, and for the policy that goes by it. */
function publishConnections() {
  let open = 0;
  for (const { owner, balanced } of servers.values()) {
    if (balanced) open += internals.connectionsOf(owner);
  }
  openConnections[0] = open;
}

/** Before Node 21 a `maxConnections` of 0 meant that there is no limit. */
const ZERO_IS_A_LIMIT = Number.parseInt(process.versions.node, 10) > 20;

/** A server that is full gives connections back, unless it shall drop them itself. */
function isFull(/** @type {any} */ server) {
  const { maxConnections, dropMaxConnection } = server;
  if (typeof maxConnections !== 'number' || dropMaxConnection) return false;
  if (maxConnections === 0 && !ZERO_IS_A_LIMIT) return false;
  return internals.connectionsOf(server) >= maxConnections;
}

// Leaving ----------------------------------------------------------------------------------------

/** Closes all servers, then the channel. */
function leave(/** @type {boolean} */ primaryKnows) {
  worker.exitedAfterDisconnect = true;
  let waiting = 1;
  const done = () => {
    if (--waiting > 0) return;
    if (primaryKnows) disconnect();
    else tellAndDisconnect();
  };
  for (const { owner, handle } of [...servers.values()]) {
    waiting++;
    if (internals.handleOf(owner) === handle) owner.close(done);
    else handle.close(done);
  }
  done();
}

function disconnect() {
  if (process.connected) process.disconnect?.();
}

/** The primary must know that this is no crash before it sees the end of the channel. */
function tellAndDisconnect() {
  if (!process.connected) return;
  onLeaveAcknowledged = disconnect;
  tell(process, { act: 'exitedAfterDisconnect' }, () => native.leave());
}

/** @this {any} */
Worker.prototype.disconnect = function () {
  if (this.state !== 'disconnecting' && this.state !== 'destroying') {
    this.state = 'disconnecting';
    leave(false);
  }
  return this;
};

/** @this {any} */
Worker.prototype.destroy = function () {
  if (this.state === 'destroying') return;
  this.exitedAfterDisconnect = true;
  if (!this.isConnected()) process.exit(0);
  this.state = 'destroying';
  process.once('disconnect', () => process.exit(0));
  tellAndDisconnect();
};
