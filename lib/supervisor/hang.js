'use strict';

/** Finds workers whose event loop does not turn, without their help: by shared memory. */

/** @typedef {InstanceType<typeof import('./member').Member>} Member */

const { WARNING } = require('./errors');

/** How often to look within `hangTimeout`. */
const LOOKS = 5;

class HangWatch {
  #hangTimeout;
  #members;
  #onHang;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #lastLook = performance.now();
  /** @type {WeakMap<Member, { turns: number, since: number, reported: boolean }>} */
  #seen = new WeakMap();

  /**
   * @param {number} hangTimeout 0: off
   * @param {() => Member[]} members that are ready
   * @param {(member: Member, ms: number) => void} onHang
   */
  constructor(hangTimeout, members, onHang) {
    this.#hangTimeout = hangTimeout;
    this.#members = members;
    this.#onHang = onHang;
    if (hangTimeout > 0) {
      this.#timer = setInterval(() => this.#look(), Math.ceil(hangTimeout / LOOKS)).unref();
    }
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** The builtin, where the native core could not be loaded, has no such number. */
  #giveUp() {
    this.stop();
    process.emitWarning(
      "without the native core it cannot be seen that a worker hangs: 'hangTimeout' has no effect",
      WARNING,
    );
  }

  #look() {
    const now = performance.now();
    // If this process itself stood still, workers cannot be blamed.
    const wasAway = now - this.#lastLook > (2 * this.#hangTimeout) / LOOKS;
    this.#lastLook = now;
    const members = this.#members();
    if (members.some(({ worker }) => worker.turns === undefined)) this.#giveUp();
    else for (const member of members) this.#lookAt(member, now, wasAway);
  }

  /** @param {Member} member @param {number} now @param {boolean} wasAway */
  #lookAt(member, now, wasAway) {
    const { turns } = member.worker;
    const seen = this.#seen.get(member);
    if (!seen || seen.turns !== turns || wasAway) {
      this.#seen.set(member, { turns, since: now, reported: false });
      return;
    }
    const ms = now - seen.since;
    if (ms >= this.#hangTimeout && !seen.reported) {
      seen.reported = true;
      this.#onHang(member, Math.round(ms));
    } else {
      // A loop that only waits shows that it can turn.
      member.worker.nudge();
    }
  }
}

module.exports = { HangWatch };
