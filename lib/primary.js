'use strict';

/**
 * The cluster object of the primary: settings, fork, disconnect, and the events of workers.
 * https://nodejs.org/api/cluster.html
 */

const { EventEmitter } = require('events');

const { addon } = require('./addon');
const { Channel, check, tell } = require('./channel');
// Or it would be read when the first handle is sent: of another version, perhaps.
require('./handles');
const internals = require('./internals');
const { announce } = require('./exports');
const scheduling = require('./scheduling');
const { failedChild, spawnWorker } = require('./spawn');
const { Worker } = require('./worker');
const workerCode = require('./worker-code');

module.exports = { adopt };

const cluster = internals.builtin;

/** Emits `'disconnect'` when the last worker is gone. */
const intercom = new EventEmitter();

/** What only we need of a worker. @type {WeakMap<any, import('../native').WorkerLink>} */
const links = new WeakMap();

/** The channels of living workers. @type {Set<InstanceType<typeof Channel>>} */
const channels = new Set();

/** Made by the first `fork()`, because it has a thread. @type {import('../native').Primary} */
let native;

/** What the balancer has been told, or will be. @type {Configuration} */
let configuration;

let lastId = 0;
let initialized = false;

/** Puts our cluster into the builtin's place. */
function adopt() {
  internals.adoptFirst();
  internals.adopt({
    Worker,
    setupPrimary,
    // Deprecated alias; the same function, as with the builtin.
    setupMaster: setupPrimary,
    fork,
    disconnect,
    broadcast,
    supervise,
    schedulingPolicy: scheduling.fromEnvironment(),
    native: true,
  });
  announce();
  return cluster;
}

/** @param {import('cluster').ClusterSettings} [options] */
function setupPrimary(options) {
  useSettings(options);
  announce();
}

/** @param {import('cluster').ClusterSettings} [options] laid over those that there are */
function useSettings(options) {
  const settings = {
    args: process.argv.slice(2),
    exec: process.argv[1],
    execArgv: process.execArgv,
    silent: false,
    ...cluster.settings,
    ...options,
  };
  // Or the profiles of all processes would end up in one file, mixed.
  const has = (/** @type {string} */ flag) =>
    settings.execArgv.some((argument) => argument.startsWith(flag));
  if (has('--prof') && !has('--logfile=')) {
    settings.execArgv = [...settings.execArgv, '--logfile=v8-%p.log'];
  }
  const changed = configurationOf(settings, options);
  /** @type {any} */ (cluster).settings = settings;
  process.nextTick(() => cluster.emit('setup', settings));
  if (!initialized) initialize();
  if (changed) {
    configuration = changed;
    if (native) configure();
  }
}

/** @typedef {NonNullable<ReturnType<typeof configurationOf>>} Configuration */

/**
 * What the balancer has to be told, if anything; throws for values that are not allowed.
 * @param {any} settings
 * @param {any} options
 */
function configurationOf(settings, options) {
  const names = ['scheduling', 'handoffTimeout', 'listenerLinger'];
  if (initialized && !names.some((name) => options?.[name] !== undefined)) return undefined;
  const chosen =
    settings.scheduling === undefined
      ? scheduling.parse(cluster.schedulingPolicy, 'cluster.schedulingPolicy')
      : scheduling.parse(settings.scheduling, 'options.scheduling');
  if (settings.scheduling !== undefined) {
    /** @type {any} */ (cluster).schedulingPolicy = scheduling.publicValue(settings.scheduling);
  }
  return { chosen, options: scheduling.optionsOf(settings, chosen.policy) };
}

function configure() {
  const { chosen, options } = configuration;
  native.setBalanced(chosen.balanced);
  const { choose } = chosen;
  native.configure(options, choose && ((connection) => decide(choose, connection)));
}

/**
 * Asks the program's own policy about one connection.
 * @param {import('./scheduling').Choose} choose
 * @param {import('../native').Connection} question
 */
function decide(choose, { id, listener, ...connection }) {
  /** @type {any[]} */
  const workers = Object.values(cluster.workers ?? {});
  const listening = workers.filter((worker) => worker.state === 'listening');
  /** @type {number | undefined} */
  let worker;
  try {
    const chosen = choose(connection, listening);
    if (listening.includes(chosen)) worker = chosen.id;
  } finally {
    // Whatever the function does, the connection is served: the round decides then.
    native.decide(listener, id, worker);
  }
}

/** The first `setupPrimary()` or `fork()`. */
function initialize() {
  initialized = true;
  process.on('internalMessage', (message) => {
    if (message.cmd === 'NODE_DEBUG_ENABLED') openInspectors();
  });
  process.on('exit', () => {
    // What was sent must leave.
    for (const channel of channels) channel.outbox.exit();
    native?.stop();
  });
}

/** Someone wants to debug this process: he wants to debug its workers as well. */
function openInspectors() {
  for (const worker of Object.values(cluster.workers ?? {})) {
    const { state } = /** @type {any} */ (worker);
    const open = () => internals.signalDebugger(/** @type {number} */ (worker?.process.pid));
    if (state === 'online' || state === 'listening') open();
    else worker?.once('online', open);
  }
}

/**
 * What the system is short of is no fault of the program's call: the worker's process emits it, as
 * with the builtin. ETOOMANYREFS: too many descriptors are under way to processes.
 */
const SHORTAGES = new Set(['EMFILE', 'ENFILE', 'EAGAIN', 'ETOOMANYREFS']);

/** @param {Record<string, unknown>} [env] laid over the current `process.env` */
function fork(env) {
  const id = ++lastId;
  /** @type {import('../native').WorkerSocket} */
  let socket;
  // Before its 'setup' event, and not before the process boots, which it would delay.
  process.nextTick(announce);
  try {
    useSettings();
    if (!native) {
      native = new addon.Primary();
      configure();
    }
    socket = new addon.WorkerSocket();
  } catch (error) {
    return forkInVain(id, error);
  }
  const { child, resolutions } = spawnOrClose(id, env, socket);
  // From here on the process boots, and takes longer for that than this needs.
  const advanced = cluster.settings.serialization === 'advanced';
  /** @type {import('../native').WorkerLink} */
  let link;
  try {
    const known = resolutions && JSON.stringify(resolutions);
    link = native.openWorker(id, socket, advanced, known, (type, first, second) => {
      onEvent(worker, link, channel, type, first, second);
    });
  } catch (error) {
    return forkInVain(id, error, child);
  }
  internals.expectChannelEnd(child);
  const channel = new Channel(child, link.channel(), advanced, {
    beforeClose: () => link.goodbye(),
    afterEnd() {
      channels.delete(channel);
      internals.channelEnded(child);
    },
  });
  channel.reference.ref();
  channels.add(channel);
  const worker = new /** @type {any} */ (Worker)({ id, process: child });
  links.set(worker, link);
  passEventsOn(worker, link);
  process.nextTick(() => cluster.emit('fork', worker));
  /** @type {any} */ (cluster.workers)[id] = worker;
  return worker;
}

/**
 * A worker without a process, for a shortage. Any other cause is thrown.
 * @param {number} id
 * @param {any} cause
 * @param {import('child_process').ChildProcess} [started] the process that it would have had
 */
function forkInVain(id, cause, started) {
  if (started?.pid) started.kill('SIGKILL');
  if (!SHORTAGES.has(cause.code)) throw cause;
  // One that could not be started says so by itself.
  const child = started && !started.pid ? started : failedChild(cause, cluster.settings);
  const worker = new /** @type {any} */ (Worker)({ id, process: child });
  process.nextTick(() => cluster.emit('fork', worker));
  /** @type {any} */ (cluster.workers)[id] = worker;
  return worker;
}

/**
 * @param {number} id
 * @param {Record<string, unknown> | undefined} env
 * @param {import('../native').WorkerSocket} socket
 */
function spawnOrClose(id, env, socket) {
  try {
    return spawnWorker(cluster.settings, id, env, socket.childFd);
  } catch (error) {
    socket.close();
    throw error;
  }
}

/**
 * The worker's events on itself and on the cluster.
 * @param {any} worker
 * @param {import('../native').WorkerLink} link
 */
function passEventsOn(worker, link) {
  worker.on('message', function (/** @type {any} */ message, /** @type {any} */ handle) {
    // @ts-expect-error `this` is the worker
    cluster.emit('message', this, message, handle);
  });
  worker.process.once('exit', (/** @type {any} */ code, /** @type {any} */ signal) => {
    // A worker that is still connected is removed when its channel has ended.
    if (!worker.isConnected()) removeWorker(worker);
    worker.exitedAfterDisconnect = Boolean(worker.exitedAfterDisconnect);
    worker.state = 'dead';
    worker.emit('exit', code, signal);
    cluster.emit('exit', worker, code, signal);
  });
  worker.process.once('disconnect', () => {
    link.remove();
    if (worker.isDead()) removeWorker(worker);
    worker.exitedAfterDisconnect = Boolean(worker.exitedAfterDisconnect);
    worker.state = 'disconnected';
    worker.emit('disconnect');
    cluster.emit('disconnect', worker);
  });
}

/**
 * @param {any} worker
 * @param {import('../native').WorkerLink} link
 * @param {InstanceType<typeof Channel>} channel
 * @param {import('../native').EventType} type
 * @param {any} first @param {any} second what is said with it
 */
function onEvent(worker, link, channel, type, first, second) {
  switch (type) {
    case addon.EventType.Online:
      worker.state = 'online';
      workerCode.prepareOnce(native);
      worker.emit('online');
      cluster.emit('online', worker);
      break;
    case addon.EventType.Listening: {
      const { addressType, address, port, fd } = JSON.parse(first);
      const info = { addressType, address, port, fd };
      worker.state = 'listening';
      worker.emit('listening', info);
      cluster.emit('listening', worker, info);
      break;
    }
    case addon.EventType.Leaving:
      worker.exitedAfterDisconnect = true;
      tell(worker.process, { act: 'exitedAfterDisconnect' }, () => link.acknowledgeLeave());
      break;
    default:
      channel.onEvent(type, first, second);
  }
}

/** @param {unknown} message to all workers that are connected */
function broadcast(message) {
  check(message);
  const encoded = new Map();
  for (const channel of channels) channel.sendShared(message, encoded);
}

/**
 * Starts workers and keeps them running. Loaded when it is used: the core needs nothing of it.
 * @param {import('./supervisor').SupervisorOptions} [options]
 */
function supervise(options) {
  return require('./supervisor').supervise(cluster, options);
}

function removeWorker(/** @type {any} */ worker) {
  const workers = /** @type {any} */ (cluster.workers);
  delete workers[worker.id];
  if (Object.keys(workers).length === 0) intercom.emit('disconnect');
}

/** @param {() => void} [callback] when all workers have disconnected and their handles are closed */
function disconnect(callback) {
  native?.endLingering();
  const workers = Object.values(cluster.workers ?? {});
  if (workers.length === 0) {
    process.nextTick(() => intercom.emit('disconnect'));
  } else {
    for (const worker of workers) {
      if (worker?.isConnected()) worker.disconnect();
    }
  }
  if (typeof callback === 'function') intercom.once('disconnect', callback);
}

/** @this {any} */
Worker.prototype.disconnect = function () {
  this.exitedAfterDisconnect = true;
  const link = links.get(this);
  if (link) {
    link.leaveListeners();
    tell(this.process, { act: 'disconnect' }, () => link.tellToLeave());
  }
  removeWorker(this);
  return this;
};

/** Makes an event loop that only waits turn once, so that `turns` shows that it can. @this {any} */
Worker.prototype.nudge = function () {
  links.get(this)?.nudge();
};

Object.defineProperties(Worker.prototype, {
  turns: {
    /** @this {any} */
    get() {
      return links.get(this)?.turns;
    },
    configurable: true,
  },
  connections: {
    /** @this {any} */
    get() {
      return links.get(this)?.connections;
    },
    configurable: true,
  },
});

/** @this {any} */
Worker.prototype.destroy = function (/** @type {NodeJS.Signals} */ signal) {
  this.process.kill(signal || 'SIGTERM');
};
