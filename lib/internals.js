'use strict';

/**
 * Every private part of Node that we touch, and nothing else. Each seam is checked when it is first
 * used; a missing one says so in one sentence. `__test__/internals.test.js` drives all of them
 * without the addon, on every Node that we support.
 */

const builtin = require('cluster');
const net = require('net');

const PACKAGE = 'rust-cluster';

module.exports = {
  adopt,
  adoptFirst,
  adoptResolutions,
  bindFlags,
  builtin,
  closeStream,
  connectionKey,
  connectionsOf,
  detachSocket,
  dgramHandle,
  expectChannelEnd,
  failToStart,
  channelEnded,
  handleOf,
  isDgramSocket,
  isRawHandle,
  isSocketOfServer,
  kindOfRawHandle,
  listenOn,
  onConnectionClosed,
  removeBuiltinWorkerListeners,
  serverDataOf,
  serverHandle,
  setServerData,
  setServerHandler,
  hideArguments,
  ignoreSignals,
  signalDebugger,
  streamHandle,
  takeHandle,
  trackSentSocket,
};

/** @typedef {any} Handle a libuv handle of Node's: TCP, Pipe or UDP; it has no public type */

/** @param {string} what @returns {never} */
function missing(what) {
  throw new Error(`rust-cluster does not know Node ${process.version}: ${what} is missing`);
}

/** The symbol-keyed property of an object, by the symbol's description. */
function bySymbol(/** @type {any} */ object, /** @type {string} */ description) {
  for (let at = object; at; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertySymbols(at).find((s) => s.description === description);
    if (found) return object[found];
  }
  return undefined;
}

// The builtin's own object -----------------------------------------------------------------------

/**
 * Puts our functions into the builtin's exports object, in place, so that whoever has it or gets
 * it later, by `require` or `import`, sees one cluster. Modules that have imported it before see
 * them once it is announced (`exports.js`).
 * @param {Record<string, unknown>} properties
 */
function adopt(properties) {
  return Object.assign(builtin, properties);
}

/** Throws if the builtin has workers of its own, which we could not serve. */
function adoptFirst() {
  if (Object.keys(builtin.workers ?? {}).length > 0) {
    throw new Error(
      'rust-cluster was loaded after the builtin cluster had forked workers; ' +
        "require('rust-cluster') before the first fork()",
    );
  }
}

/**
 * Where Node's bootstrap has made a worker, what it has put on `process` fights ours: one listener
 * exits on disconnect, one handles the builtin's messages, and its Worker passes messages on a second
 * time. They were there before anything else ran, so they are the first of their kind.
 */
function removeBuiltinWorkerListeners() {
  for (const event of ['disconnect', 'internalMessage', 'message', 'error']) {
    const [first] = process.rawListeners(event);
    if (!first) missing(`the builtin's '${event}' listener`);
    process.removeListener(event, /** @type {any} */ (first));
  }
}

/**
 * The hook through which `net` and `dgram` ask for a socket in a worker.
 * @param {(server: any, options: any, reply: (errno: number, handle: Handle) => void) => void} ask
 */
function setServerHandler(ask) {
  if (typeof (/** @type {any} */ (builtin)._getServer) !== 'function') missing('_getServer');
  adopt({ _getServer: ask });
}

// Modules ----------------------------------------------------------------------------------------

/**
 * Makes `require` find what another process has found. The package itself is there then, even if
 * its file is gone when the program asks for it.
 * @param {import('./resolutions').Resolutions} resolutions
 */
function adoptResolutions({ files, searched }) {
  // To load `module` takes a while: a worker's preload has it already.
  const Module = /** @type {any} */ (require('module'));
  if (!Module._pathCache) return;
  for (const [name, file] of Object.entries(files)) {
    for (const paths of searched) Module._pathCache[[name, ...paths].join('\0')] = file;
  }
  const filename = files[PACKAGE];
  const loaded = { filename, loaded: true, exports: builtin };
  Module._cache[filename] ??= Object.assign(new Module(filename), loaded);
}

// Servers ----------------------------------------------------------------------------------------

/** What a server wants to share with its twins in other workers (TLS ticket keys). */
function serverDataOf(/** @type {any} */ server) {
  return server._getServerData?.();
}

function setServerData(/** @type {any} */ server, /** @type {unknown} */ data) {
  server._setServerData?.(data);
}

// Handles from descriptors -----------------------------------------------------------------------

/** The classes of accepted sockets, learned from the first one of each. @type {any} */
const streamClasses = { tcp: undefined, pipe: undefined };

/** What `new TCP(type)` and `new Pipe(type)` take for a connection. */
const SOCKET = 0;

/**
 * The handle of a connected socket.
 * @param {number} fd
 * @param {'tcp' | 'pipe'} [kind] if it is known, this is faster
 * @returns {Handle}
 */
function streamHandle(fd, kind) {
  const Stream = kind && streamClasses[kind];
  if (Stream) {
    const handle = new Stream(SOCKET);
    const errno = handle.open(fd);
    if (errno) throw new Error(`open of a received descriptor failed (${errno})`);
    return handle;
  }
  // `manualStart` exists, but is not in the types.
  const socket = new net.Socket(/** @type {any} */ ({ fd, manualStart: true }));
  const handle = handleOf(socket) ?? missing('the handle of a net.Socket');
  /** @type {any} */ (socket)._handle = null;
  if (kind) streamClasses[kind] = handle.constructor;
  return handle;
}

/** The handle of a socket that is bound, perhaps listening. @returns {Handle} */
function serverHandle(/** @type {number} */ fd) {
  const create = /** @type {any} */ (net)._createServerHandle ?? missing('_createServerHandle');
  const handle = create('', 0, -1, fd);
  if (typeof handle === 'number')
    throw new Error(`open of a received descriptor failed (${handle})`);
  return handle;
}

/** @type {any} */
let udpClass;

/**
 * The handle of a bound UDP socket.
 * @param {number} fd
 * @param {import('dgram').Socket} socket any one, to learn the class of handles from
 * @returns {Handle}
 */
function dgramHandle(fd, socket) {
  udpClass ??= handleOf(socket)?.constructor ?? missing('the handle of a dgram.Socket');
  const handle = new udpClass();
  const errno = handle.open(fd);
  if (errno) throw new Error(`open of a received descriptor failed (${errno})`);
  return handle;
}

// Handles of sockets and servers -----------------------------------------------------------------

/** The handle of a socket or server; null or undefined if it has none (any more). */
function handleOf(/** @type {any} */ object) {
  return isDgramSocket(object) ? bySymbol(object, 'state symbol')?.handle : object._handle;
}

/** @returns {'tcp' | 'pipe' | 'udp' | undefined} */
function kindOfRawHandle(/** @type {any} */ handle) {
  const name = typeof handle?.fd === 'number' ? handle.constructor?.name : '';
  return /** @type {const} */ ({ TCP: 'tcp', Pipe: 'pipe', UDP: 'udp' })[
    /** @type {'TCP' | 'Pipe' | 'UDP'} */ (name)
  ];
}

function isRawHandle(/** @type {unknown} */ object) {
  return kindOfRawHandle(object) !== undefined;
}

function isDgramSocket(/** @type {unknown} */ object) {
  // Most programs never load `dgram`, and for a worker's start it is no small matter.
  if (object instanceof net.Server || object instanceof net.Socket) return false;
  return object instanceof require('dgram').Socket;
}

/** Takes a server's handle from it, for it will be given back. */
function takeHandle(/** @type {any} */ server) {
  const handle = server._handle;
  server._handle = null;
  return handle;
}

/** How many connections a server has at the moment. @returns {number} */
function connectionsOf(/** @type {any} */ server) {
  return server._connections;
}

/** Servers whose closed connections are being told; one may listen again and again. */
const watched = new WeakSet();

/** Calls back whenever one of the server's connections has closed. */
function onConnectionClosed(/** @type {any} */ server, /** @type {() => void} */ callback) {
  if (watched.has(server)) return;
  watched.add(server);
  const inherited = server._emitCloseIfDrained ?? missing('_emitCloseIfDrained');
  // net calls it right after it has counted a connection that is gone.
  server._emitCloseIfDrained = function (/** @type {any[]} */ ...args) {
    callback();
    return Reflect.apply(inherited, this, args);
  };
}

/** libuv's flags for binding, the same on all Nodes. */
const UV_TCP_IPV6ONLY = 1;
const UV_UDP_IPV6ONLY = 1;
const UV_UDP_REUSEADDR = 4;

/** What the flags that `net` and `dgram` pass on mean. */
function bindFlags(/** @type {unknown} */ addressType, /** @type {number} */ flags = 0) {
  if (addressType !== 'udp4' && addressType !== 'udp6') {
    return { ipv6Only: (flags & UV_TCP_IPV6ONLY) !== 0 };
  }
  return {
    ipv6Only: (flags & UV_UDP_IPV6ONLY) !== 0,
    reuseAddr: (flags & UV_UDP_REUSEADDR) !== 0,
  };
}

/** Lets a server listen on a handle that it got from elsewhere, here and not through the primary. */
function listenOn(/** @type {any} */ server, /** @type {Handle} */ handle) {
  server._handle = handle;
  server._listen2(null, -1, -1, undefined, undefined);
}

// Sockets that are sent away ---------------------------------------------------------------------

/** Whether a server of this process has accepted the socket, and counts it. */
function isSocketOfServer(/** @type {any} */ socket) {
  return Boolean(socket.server);
}

function connectionKey(/** @type {any} */ socket) {
  return socket.server._connectionKey;
}

/**
 * The server goes on to count a socket that is sent away, by asking `list`.
 * @param {any} socket
 * @param {object | undefined} list given the first time only
 * @param {boolean} keepOpen
 */
function trackSentSocket(socket, list, keepOpen) {
  if (list) socket.server._setupWorker(list);
  if (!keepOpen) socket.server._connections--;
}

/** Takes its handle from a socket that is being sent, so that it does nothing more with it. */
function detachSocket(/** @type {any} */ socket) {
  const handle = socket._handle;
  handle.onread = () => {};
  socket._handle = null;
  socket.setTimeout(0);
  // An HTTP connection has a parser that would go on to hold it.
  const parser = socket.parser;
  if (parser && typeof parser.unconsume === 'function') {
    // @ts-expect-error it has no types
    const { freeParser } = require('_http_common');
    freeParser(parser, null, socket);
    socket._httpMessage?.detachSocket(socket);
  }
  return handle;
}

function closeStream(/** @type {Handle} */ handle) {
  handle.close();
}

// ChildProcess -----------------------------------------------------------------------------------

/** `'close'` of the child waits for the channel's end as well. */
function expectChannelEnd(/** @type {any} */ child) {
  if (typeof child._closesNeeded !== 'number') missing('_closesNeeded');
  child._closesNeeded++;
}

/** The channel has ended; emits `'close'` if that was the last thing it waited for. */
function channelEnded(/** @type {any} */ child) {
  child._closesGot++;
  if (child._closesGot === child._closesNeeded) {
    child.emit('close', child.exitCode, child.signalCode);
  }
}

/** «No such process», see kill(2). */
const UV_ESRCH = -3;

/**
 * Makes it a process that could not be started, for the reason `errno` (negative): it says so in the
 * next tick.
 */
function failToStart(/** @type {any} */ child, /** @type {number} */ errno) {
  ignoreSignals(child);
  process.nextTick(() => child._handle.onexit(errno, ''));
}

/**
 * For a child without a process: Node would send them to whatever number is in its memory, be that
 * another process or a whole group. The builtin does so.
 */
function ignoreSignals(/** @type {any} */ child) {
  const handle = child._handle ?? missing('the handle of a ChildProcess');
  handle.kill = () => UV_ESRCH;
}

/** Takes our own arguments out of what the child says it was started with. */
function hideArguments(
  /** @type {any} */ child,
  /** @type {number} */ start,
  /** @type {number} */ count,
) {
  child.spawnargs.splice(start, count);
}

/** Makes another Node process open its inspector. */
function signalDebugger(/** @type {number} */ pid) {
  /** @type {any} */ (process)._debugProcess(pid);
}
