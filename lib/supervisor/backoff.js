'use strict';

/** When a slot whose worker keeps crashing is tried again. Bookkeeping only: no timers, no clock. */

/** @typedef {import('.').ExitInfo} ExitInfo */

/** Crashes that can be reported. */
const MAX_KEPT = 20;

class Backoff {
  #options;
  /** The last ones. @type {ExitInfo[]} */
  #crashes = [];
  /** In a row. */
  #count = 0;

  /** @param {{ backoffMin: number, backoffMax: number, minUptime: number, maxCrashes: number }} options */
  constructor(options) {
    this.#options = options;
  }

  get count() {
    return this.#count;
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
    if (readyFor > 0 && readyFor >= minUptime) this.reset();
    this.#crashes = [...this.#crashes, exit].slice(-MAX_KEPT);
    if (++this.#count >= maxCrashes) return undefined;
    return Math.min(backoffMax, backoffMin * 2 ** (this.#count - 1));
  }

  /** Somebody has changed something: what was does not count. */
  reset() {
    this.#crashes = [];
    this.#count = 0;
  }
}

module.exports = { Backoff };
