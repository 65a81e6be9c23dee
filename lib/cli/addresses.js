'use strict';

/** Where the app listens at this moment. */

/** @typedef {import('./events').Event} Event */
/** @typedef {Pick<import('cluster').Address, 'addressType' | 'address' | 'port'>} Address */

class Addresses {
  /** Those of each worker, by its process id: the address as JSON. @type {Map<number, Set<string>>} */
  #byWorker = new Map();

  /** @param {Event} event @returns {boolean} whether it says that nobody listened there until now */
  add({ pid, addressType, address, port }) {
    const text = JSON.stringify({ addressType, address, port });
    const isNew = !this.#texts().has(text);
    this.#byWorker.set(pid, (this.#byWorker.get(pid) ?? new Set()).add(text));
    return isNew;
  }

  /** @param {Event} event the end of a worker */
  remove({ pid }) {
    this.#byWorker.delete(pid);
  }

  /** @returns {Address[]} */
  all() {
    return [...this.#texts()].map((text) => JSON.parse(text));
  }

  #texts() {
    return new Set([...this.#byWorker.values()].flatMap((texts) => [...texts]));
  }
}

module.exports = { Addresses };
