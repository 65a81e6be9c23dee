'use strict';

/** When a slot whose worker keeps crashing is tried again. Bookkeeping only: no timers, no clock. */

module.exports = { Backoff };

/** @typedef {import('.').ExitInfo} ExitInfo */

class Backoff {
  #options;
  /** In a row. @type {ExitInfo[]} */
  #crashes = [];

  /** @param {{ backoffMin: number, backoffMax: number, minUptime: number, maxCrashes: number }} options */
  constructor(options) {
    this.#options = options;
  }

  get crashes() {
    return [...this.#crashes];
  }

  /**
   * Notes a crash; returns how long to wait, or undefined if it was one too many.
   * @param {ExitInfo} exit
   * @param {number} readyFor for how long the worker had been ready
   */
  next(exit, readyFor) {
    const { backoffMin, backoffMax, minUptime, maxCrashes } = this.#options;
    if (readyFor > 0 && readyFor >= minUptime) this.#crashes = [];
    this.#crashes.push(exit);
    const count = this.#crashes.length;
    if (count >= maxCrashes) return undefined;
    return Math.min(backoffMax, backoffMin * 2 ** (count - 1));
  }

  /** Somebody has changed something: what was does not count. */
  reset() {
    this.#crashes = [];
  }
}
