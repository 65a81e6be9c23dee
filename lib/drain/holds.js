'use strict';

/** Keeps the channel open, and with it this process, while the app has something to finish. */

class Holds {
  #open = 0;
  /** What `process.disconnect()` was called with, while it had to wait. @type {(() => void)[]} */
  #waiting = [];

  /** The channel stays open from now on, at least until `settle()`. */
  begin() {
    this.#open++;
    const disconnect = /** @type {() => void} */ (process.disconnect);
    process.disconnect = () => {
      if (this.#open === 0) Reflect.apply(disconnect, process, []);
      else this.#waiting.push(() => process.connected && Reflect.apply(disconnect, process, []));
    };
  }

  /** @param {Promise<unknown>} work */
  add(work) {
    this.#open++;
    const settled = () => this.settle();
    // Its failure is the app's to handle: whoever has made it has it as well.
    Promise.resolve(work).then(settled, settled);
  }

  settle() {
    if (--this.#open > 0) return;
    for (const disconnect of this.#waiting.splice(0)) disconnect();
  }
}

module.exports = { Holds };
