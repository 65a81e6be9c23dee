'use strict';

/** Things that are done one after another, whether or not the one before succeeded. */

class Queue {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /**
   * @template T
   * @param {() => Promise<T>} action
   * @returns {Promise<T>}
   */
  run(action) {
    const done = this.#last.then(action);
    this.#last = done.catch(() => {});
    return done;
  }
}

module.exports = { Queue };
