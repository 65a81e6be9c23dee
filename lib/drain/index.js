'use strict';

/**
 * In a worker that drains: when it is told to go, its connections end without a request being lost,
 * and the app is told. `worker.disconnect()` is what tells it, in the primary or here; a supervisor
 * says a little more (`protocol.js`), and hears when this worker wants to go.
 */

const cluster = require('cluster');

const { Closing } = require('./closing');
const { Connections } = require('./connections');
const { Holds } = require('./holds');
const { useInherited } = require('./inherited');
const { messageOf, wrap } = require('./protocol');
const { watchSignals } = require('./signals');

module.exports = { start };

/** @typedef {import('./environment').Configuration} Configuration */
/** @typedef {import('../supervisor').Reason} Reason */

const DEFAULT_GRACE = 500;

/** Once only, even if there are two copies of the package: the first configuration counts. */
function start(/** @type {Configuration} */ configuration) {
  if (Object.hasOwn(/** @type {any} */ (cluster.worker), 'isDraining')) return;
  const connections = new Connections();
  connections.watch();
  new Drain(configuration, connections);
}

class Drain {
  #worker = /** @type {any} */ (cluster.worker);
  #supervised;
  #closing;
  #holds = new Holds();
  #signals;
  #isDraining = false;
  #isLeader = false;
  #isClosing = false;
  /** What the supervisor has said, before the primary says that it is time. */
  #reason = /** @type {Reason} */ ('disconnect');
  #timeout;

  /**
   * @param {Configuration} configuration
   * @param {InstanceType<typeof Connections>} connections
   */
  constructor(configuration, connections) {
    const { closeWebSockets = true, keepAliveGrace = DEFAULT_GRACE, supervised } = configuration;
    this.#supervised = supervised;
    this.#timeout = configuration.killTimeout ?? Infinity;
    this.#closing = new Closing(connections, {
      closeWebSockets,
      keepAliveGrace,
      tell: (socket, info) => this.#worker.emit('drainSocket', socket, info),
    });
    this.#describeSelf();
    this.#listen();
    if (supervised) {
      this.#signals = watchSignals(() => this.#onSignal());
      useInherited(supervised.inherited);
      if (supervised.inspectable) avoidInspectorPort();
      this.#countConnections(connections, supervised.maxConnections);
    }
  }

  #describeSelf() {
    const get = (/** @type {() => unknown} */ get) => ({ get, enumerable: true });
    Object.defineProperties(this.#worker, {
      isDraining: get(() => this.#isDraining),
      ...(this.#supervised && {
        slot: { value: this.#supervised.slot, enumerable: true },
        isLeader: get(() => this.#isLeader),
      }),
    });
  }

  #listen() {
    // Before the builtin's own listener, where there is one: what follows from it must find us ready.
    process.prependListener(
      /** @type {any} */ ('internalMessage'),
      (/** @type {any} */ message) => {
        if (message?.cmd === 'NODE_CLUSTER' && message.act === 'disconnect') this.#leave();
        const ours = messageOf(message);
        if (ours) this.#onMessage(ours);
      },
    );
    process.once('disconnect', () => this.#signals?.stop());
    const { disconnect } = this.#worker;
    this.#worker.disconnect = (/** @type {any[]} */ ...args) => {
      if (!this.#isDraining) this.#reason = 'self';
      this.#leave();
      return Reflect.apply(disconnect, this.#worker, args);
    };
  }

  #onMessage(/** @type {import('./protocol').ToWorker} */ message) {
    switch (message.act) {
      case 'drain':
        this.#reason = message.reason;
        this.#timeout = message.timeout;
        this.#announce();
        if (message.now) this.#close();
        break;
      case 'lead':
        if (this.#isDraining) break;
        this.#isLeader = true;
        this.#worker.emit('leader');
        break;
      case 'end':
        this.#signals?.giveUp();
        break;
      default:
        throw new Error(`A worker has no message '${/** @type {any} */ (message).act}'`);
    }
  }

  /** From now on the app knows. Connections are still taken. */
  #announce() {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#holds.begin();
    if (this.#isLeader) this.#say({ act: 'resigned' });
    this.#isLeader = false;
    // By then it is known why, if the supervisor's message comes along with the primary's.
    process.nextTick(() => {
      if (this.#supervised) this.#say({ act: 'leaving', reason: this.#reason });
      const waitUntil = (/** @type {Promise<unknown>} */ work) => this.#holds.add(work);
      this.#worker.emit('drain', { reason: this.#reason, timeout: this.#timeout, waitUntil });
      this.#holds.settle();
    });
  }

  /** Connections end from now on, also those that are still given to this worker. */
  #close() {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#closing.begin();
    // By then the app has had the event, and listens.
    setImmediate(() => this.#closing.tell());
  }

  /** The cluster closes the servers now. */
  #leave() {
    this.#announce();
    this.#close();
    setImmediate(() => this.#closing.closeServers());
  }

  /** It was meant for this worker, or for all processes of the group: the supervisor knows. */
  #onSignal() {
    if (!this.#isDraining) this.#say({ act: 'signalled' });
  }

  /** @param {InstanceType<typeof Connections>} connections @param {number} limit */
  #countConnections(connections, limit) {
    if (!(limit > 0)) return;
    connections.onConnection = () => {
      if (connections.total < limit) return;
      connections.onConnection = undefined;
      this.#say({ act: 'served', connections: connections.total });
    };
  }

  #say(/** @type {import('./protocol').ToSupervisor} */ message) {
    // A primary that is gone needs to know no more.
    if (process.connected) process.send?.(wrap(message), undefined, undefined, () => {});
  }
}

/** When two workers hang, both need a port for a debugger: any will do, unless it has been chosen. */
function avoidInspectorPort() {
  if (!process.execArgv.some((argument) => argument.startsWith('--inspect'))) process.debugPort = 0;
}
