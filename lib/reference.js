'use strict';

const { EventEmitter } = require('events');

/**
 * `process.channel` and `child.channel`: keeps the event loop alive while someone listens, unless
 * the program has said what it wants. https://nodejs.org/api/process.html#processchannel
 */
class Reference extends EventEmitter {
  #native;
  #listeners = 0;
  #explicit = false;

  /** @param {import('../native').Channel} native */
  constructor(native) {
    super();
    this.#native = native;
  }

  refCounted() {
    if (++this.#listeners === 1 && !this.#explicit) this.#native.setRef(true);
  }

  unrefCounted() {
    if (--this.#listeners === 0 && !this.#explicit) {
      this.#native.setRef(false);
      this.emit('unref');
    }
  }

  ref() {
    this.#explicit = true;
    this.#native.setRef(true);
  }

  unref() {
    this.#explicit = true;
    this.#native.setRef(false);
  }

  get fd() {
    return this.#native.fd;
  }
}

module.exports = { Reference };
