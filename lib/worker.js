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
  Reflect.apply(EventEmitter, this, []);
  const given = options !== null && typeof options === 'object' ? options : {};
  this.exitedAfterDisconnect = undefined;
  this.state = given.state || 'none';
  this.id = Number(given.id) | 0;
  if (given.process) {
    this.process = given.process;
    this.process.on('error', (/** @type {any[]} */ ...args) => this.emit('error', ...args));
    this.process.on('message', (/** @type {any} */ message, /** @type {any} */ handle) =>
      this.emit('message', message, handle),
    );
  }
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
