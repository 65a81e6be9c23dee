'use strict';

/** When a worker has served long enough: limits of memory, age and connections. */

const { residentMemoryOf } = require('./memory');

/** A worker whose replacement did not come up is left alone for so long. */
const RETRY_AFTER = 60_000;

/** @typedef {{ memory: number, age: number, connections: number }} Limits 0: none */
/** @typedef {InstanceType<typeof import('./member').Member>} Member */
/** @typedef {'memory' | 'age' | 'connections'} LimitName */

/**
 * One worker's own limits, so that not all reach them together.
 * @param {import('.').ResolvedOptions} options
 * @returns {Limits}
 */
function limitsOf({ maxMemory, maxAge, maxConnections, jitter, random }) {
  const spread = (/** @type {number} */ limit) => limit * (1 - jitter * random());
  return {
    memory: spread(maxMemory),
    age: spread(maxAge),
    connections: maxConnections === 0 ? 0 : Math.max(1, Math.round(spread(maxConnections))),
  };
}

class Recycling {
  #members;
  #replace;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** When to look at a worker again, if not before. @type {WeakMap<Member, number>} */
  #notBefore = new WeakMap();

  /**
   * @param {import('.').ResolvedOptions} options
   * @param {() => Member[]} members that may be replaced
   * @param {(member: Member, info: { reason: LimitName, value: number, limit: number }) =>
   *   Promise<void>} replace
   */
  constructor({ checkInterval, maxAge, maxMemory }, members, replace) {
    this.#members = members;
    this.#replace = replace;
    if (maxAge > 0 || maxMemory > 0) {
      this.#timer = setInterval(() => this.#check(), checkInterval).unref();
    }
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** A worker says that it has served so many. */
  onServed(/** @type {Member} */ member, /** @type {number} */ connections) {
    this.#recycle(member, 'connections', connections);
  }

  #check() {
    for (const member of this.#members()) {
      const { age, memory } = member.limits;
      const resident = memory > 0 ? (residentMemoryOf(member.worker.process.pid) ?? 0) : 0;
      if (memory > 0 && resident > memory) this.#recycle(member, 'memory', resident);
      else if (age > 0 && member.readyFor > age) this.#recycle(member, 'age', member.readyFor);
    }
  }

  /** @param {Member} member @param {LimitName} reason @param {number} value */
  #recycle(member, reason, value) {
    if (member.isLeaving || performance.now() < (this.#notBefore.get(member) ?? 0)) return;
    this.#notBefore.set(member, Infinity);
    const limit = Math.round(member.limits[reason]);
    this.#replace(member, { reason, value: Math.round(value), limit }).catch(() => {
      this.#notBefore.set(member, performance.now() + RETRY_AFTER);
    });
  }
}

module.exports = { limitsOf, Recycling };
