'use strict';

/**
 * What is on its way from `send()` to the native channel. The first message of a turn of the event
 * loop is written at once, as the builtin would; those that follow in the same turn leave together
 * when it ends, or earlier when they are many, or when the process exits.
 */

const errors = require('./errors');

/** Collected text is written from this size on (in characters). */
const BATCH_SIZE = 64 * 1024;

/**
 * From here on `send()` returns false, as with the builtin: the receiver is more than two reads
 * behind.
 */
const HIGH_WATER_MARK = 128 * 1024;

/** @typedef {(error: Error | null) => void} Done */

class Outbox {
  #channel;
  #onError;
  /** JSON texts of this turn. @type {string[]} */
  #batch = [];
  #batchSize = 0;
  /** One for each text in the batch. @type {(Done | undefined)[]} */
  #batchDone = [];
  #turnEnds = false;
  #exiting = false;
  /** Bytes that the kernel has taken late, ever, and those that it has not taken yet. */
  #written = 0;
  #unsent = 0;
  /** Callbacks that wait for `#written` to reach a point, in order. */
  #waiting = /** @type {{ at: number, done: Done }[]} */ ([]);

  /**
   * @param {import('../native').Channel} channel
   * @param {(error: Error) => void} onError for a failed write that has no callback
   */
  constructor(channel, onError) {
    this.#channel = channel;
    this.#onError = onError;
  }

  /**
   * Sends one message of JSON; `done` is called asynchronously with its fate.
   * @param {string} text
   * @param {Done} [done]
   */
  sendJson(text, done) {
    if (this.#turnEnds) {
      this.#batch.push(text);
      this.#batchDone.push(done);
      this.#batchSize += text.length + 1;
      if (this.#batchSize >= BATCH_SIZE || this.#exiting) this.flush();
    } else {
      this.#turnEnds = true;
      process.nextTick(endTurn, this);
      this.#finish(this.#channel.sendJson(text, 1), done);
    }
  }

  /**
   * Sends something else at once, behind what was collected.
   * @param {(channel: import('../native').Channel) => number} write
   * @param {Done} [done]
   */
  send(write, done) {
    this.flush();
    this.#finish(write(this.#channel), done);
  }

  /** Writes what was collected. */
  flush() {
    if (this.#batch.length === 0) return;
    const done = this.#batchDone;
    const text = this.#batch.length === 1 ? this.#batch[0] : this.#batch.join(',');
    const result = this.#channel.sendJson(text, this.#batch.length);
    this.#batch = [];
    this.#batchDone = [];
    this.#batchSize = 0;
    for (const callback of done) this.#finish(result, callback);
  }

  /** Nothing runs at the end of this turn any more: write all from now on at once. */
  exit() {
    this.#exiting = true;
    this.flush();
  }

  endTurn() {
    this.#turnEnds = false;
    this.flush();
  }

  /** The kernel has taken `bytes` more. */
  onWritten(/** @type {number} */ bytes, /** @type {number} */ unsent) {
    this.#written += bytes;
    this.#unsent = unsent;
    while (this.#waiting.length > 0 && this.#waiting[0].at <= this.#written) {
      /** @type {any} */ (this.#waiting.shift()).done(null);
    }
  }

  /** The other end is gone: what the kernel has not taken will never arrive. */
  fail(/** @type {Error} */ error) {
    for (const { done } of this.#waiting) process.nextTick(done, error);
    this.#waiting = [];
  }

  get hasRoom() {
    return this.#unsent + this.#batchSize < HIGH_WATER_MARK;
  }

  #finish(/** @type {number} */ result, /** @type {Done | undefined} */ done) {
    if (result < 0) {
      process.nextTick(done ?? this.#onError, errors.system(result, 'write'));
      return;
    }
    this.#unsent = result;
    if (!done) return;
    if (result === 0) process.nextTick(done, null);
    else this.#waiting.push({ at: this.#written + result, done });
  }
}

/** @param {Outbox} outbox */
function endTurn(outbox) {
  outbox.endTurn();
}

module.exports = { Outbox };
