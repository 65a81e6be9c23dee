'use strict';

/**
 * The `Worker` class, as both sides have it; `primary.js` and `child.js` add `disconnect` and
 * `destroy`. https://nodejs.org/api/cluster.html#class-worker
 */

const { EventEmitter } = require('events');

module.exports = { Worker };

/**
 * A function rather than a class, because programs call it without `new`.
 * @this {any}
 * @param {{ id?: number, state?: string, process?: any }} [options]
 */
function Worker(options) {
  if (!(this instanceof Worker)) return new /** @type {any} */ (Worker)(options);
  return initialize(this, options);
}

/**
 * @param {any} worker
 * @param {{ id?: number, state?: string, process?: any }} [options]
 */
function initialize(worker, options) {
  Reflect.apply(EventEmitter, worker, []);
  const given = options !== null && typeof options === 'object' ? options : {};
  worker.exitedAfterDisconnect = undefined;
  worker.state = given.state || 'none';
  worker.id = Number(given.id) | 0;
  if (given.process) {
    worker.process = given.process;
    worker.process.on('error', (/** @type {any} */ error, /** @type {any} */ detail) =>
      worker.emit('error', error, detail),
    );
    worker.process.on('message', (/** @type {any} */ message, /** @type {any} */ handle) =>
      worker.emit('message', message, handle),
    );
  }
  return worker;
}

Object.setPrototypeOf(Worker.prototype, EventEmitter.prototype);
Object.setPrototypeOf(Worker, EventEmitter);

/** @this {any} */
Worker.prototype.kill = function kill(/** @type {any[]} */ ...args) {
  this.destroy(...args);
};

/** @this {any} */
Worker.prototype.send = function send(/** @type {any[]} */ ...args) {
  return this.process.send(...args);
};

/** @this {any} */
Worker.prototype.isDead = function isDead() {
  return this.process.exitCode != null || this.process.signalCode != null;
};

/** @this {any} */
Worker.prototype.isConnected = function isConnected() {
  return this.process.connected;
};
