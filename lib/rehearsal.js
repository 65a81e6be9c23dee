'use strict';

/**
 * Plays a worker's start in the primary, from `connect()` to a server that listens, with stand-ins
 * for all that is the worker's own: V8's code cache has only functions that have run.
 */

const { EventEmitter } = require('events');
const net = require('net');

const { addon } = require('./addon');

module.exports = { rehearse };

/** @typedef {(exports: any, require: (id: string) => any, module: any, process: any) => void} Code */

/** @param {Code} code the function that `dist/worker.js` is */
function rehearse(code) {
  let tell = /** @type {(...said: any[]) => void} */ (standIn);

  /** As `addon.Worker` is at the start. */
  class Worker {
    advanced = false;
    openConnections = new Uint32Array(1);
    listening = standIn;
    keepAlive = standIn;
    channel = () => ({ jsonSender: () => standIn, setRef: standIn });
    listen = () => SERVER;

    constructor(/** @type {object} */ _greeting, /** @type {typeof tell} */ onEvent) {
      tell = onEvent;
    }
  }

  /** @type {Record<string, any>} */
  const standIns = {
    cluster: { _getServer: standIn },
    module: Object.assign(class {}, { _pathCache: {}, _cache: {} }),
    './addon': { addon: { ...addon, Worker } },
  };
  const find = (/** @type {string} */ id) => standIns[id] ?? require(id);
  const own = { exports: /** @type {any} */ ({}) };
  code(own.exports, find, own, processOfWorker());

  own.exports.connect({ resolutions: '{"files":{"":""},"searched":[[]]}' }, 1);
  const server = serverOfNobody();
  const options = { address: null, port: 80, addressType: 4, fd: -1, flags: 0, backlog: 511 };
  own.exports.askForServer(server, options, standIn);
  tell(addon.EventType.Bound, SERVER, { errno: 0 });
  Reflect.apply(EventEmitter.prototype.emit, server, ['listening']);
}

/** What is called for its effect, which nobody wants here. */
function standIn() {}

/** The server's id. */
const SERVER = 1;

/** Whoever watches the servers of this process does not see it. */
function serverOfNobody() {
  const server = Object.create(net.Server.prototype);
  Reflect.apply(EventEmitter, server, []);
  return server;
}

function processOfWorker() {
  const { versions } = process;
  return Object.assign(new EventEmitter(), { versions, nextTick: standIn });
}
