'use strict';

/**
 * What is on its way from `send()` to the native channel. The first messages of a turn of the event
 * loop are written at once, as the builtin would; those that follow in the same turn leave together
 * when it ends, or earlier when they are many, or when the process exits.
 */

const errors = require('./errors');
const { isUrgent, write, writeOne } = require('./serialization');

/** So many messages of a turn are written at once: whoever sends few may block, or die, right after. */
const AT_ONCE = 4;

/** What was collected is written from this size on (characters of JSON, or bytes). */
const BATCH_SIZE = 64 * 1024;

/** With so much not taken `send()` returns false, as with the builtin. */
const HIGH_WATER_MARK = 128 * 1024;

/** @typedef {(error: Error | null) => void} Done */

class Outbox {
  #channel;
  /** @type {import('./serialization').Sender} */
  #sender;
  #onError;
  /** Encoded messages of this turn. @type {any[]} */
  #batch = [];
  #batchSize = 0;
  /** Callbacks of messages in the batch. @type {Done[]} */
  #batchDone = [];
  /** Messages in the batch without a callback: their errors go to `#onError`, one each. */
  #batchSilent = 0;
  /** How many messages this turn has had, up to those that are collected; 0 has not begun. */
  #inTurn = 0;
  #exiting = false;
  /** Where the last message ends that was not taken at once, in bytes ever sent. */
  #sent = 0;
  /** Up to where all has been taken. */
  #taken = 0;
  /** Callbacks that wait for `#taken` to reach a point, in order. */
  #waiting = /** @type {{ at: number, done: Done }[]} */ ([]);

  /**
   * @param {import('../native').Channel} channel
   * @param {(error: Error) => void} onError for a failed write that has no callback
   */
  constructor(channel, onError) {
    this.#channel = channel;
    this.#sender = {
      sendJson: channel.jsonSender(),
      sendText: (text) => channel.sendText(text),
      sendAdvanced: (parts, count) => channel.sendAdvanced(parts, count),
    };
    this.#onError = onError;
  }

  /**
   * Sends one encoded message; `done` is called asynchronously with its fate.
   * @param {any} encoded by the codec
   * @param {Done} [done]
   */
  add(encoded, done) {
    const size = encoded.length;
    if (this.#inTurn < AT_ONCE || this.#exiting || size >= BATCH_SIZE || isUrgent(encoded)) {
      this.flush();
      if (this.#inTurn++ === 0) process.nextTick(endTurn, this);
      this.#finish(writeOne(this.#sender, encoded), done);
      return;
    }
    this.#batch.push(encoded);
    if (done) this.#batchDone.push(done);
    else this.#batchSilent++;
    this.#batchSize += size + 1;
    if (this.#batchSize >= BATCH_SIZE) this.flush();
  }

  /**
   * Sends something else at once, behind what was collected.
   * @param {(channel: import('../native').Channel) => number} write
   * @param {Done} [done]
   * @returns {number} at least 0, or a negative errno
   */
  send(write, done) {
    this.flush();
    const result = write(this.#channel);
    this.#finish(result, done);
    return result;
  }

  /** Writes what was collected. */
  flush() {
    if (this.#batch.length === 0) return;
    const [batch, done, silent] = [this.#batch, this.#batchDone, this.#batchSilent];
    this.#batch = [];
    this.#batchDone = [];
    this.#batchSilent = 0;
    this.#batchSize = 0;
    const result = write(this.#sender, batch);
    for (const callback of done) this.#finish(result, callback);
    for (let n = 0; n < (result < 0 ? silent : 1); n++) this.#finish(result);
  }

  /** Nothing runs at the end of this turn any more: write all from now on at once. */
  exit() {
    this.#exiting = true;
    this.flush();
  }

  endTurn() {
    this.#inTurn = 0;
    this.flush();
  }

  /** So many of all bytes ever sent have been taken. */
  onTaken(/** @type {number} */ bytes) {
    this.#taken = bytes;
    // One that throws withholds nothing from the others.
    while (this.#waiting.length > 0 && this.#waiting[0].at <= bytes) {
      process.nextTick(/** @type {any} */ (this.#waiting.shift()).done, null);
    }
  }

  /** Nothing more is told of what has been sent; it will be taken as long as somebody is there. */
  finish() {
    for (const { done } of this.#waiting) process.nextTick(done, null);
    this.#waiting = [];
    this.#sent = this.#taken;
  }

  /** The other end is gone: what was not taken will never arrive. */
  fail(/** @type {Error} */ error) {
    for (const { done } of this.#waiting) process.nextTick(done, error);
    this.#waiting = [];
  }

  get hasRoom() {
    return this.#sent - this.#taken + this.#batchSize < HIGH_WATER_MARK;
  }

  /** @param {number} result 0, or where to wait for, or a negative errno @param {Done} [done] */
  #finish(result, done) {
    if (result < 0) {
      process.nextTick(done ?? this.#onError, errors.system(result, 'write'));
    } else if (result === 0) {
      // Then all before it has been taken as well.
      if (this.#sent > this.#taken) this.finish();
      if (done) process.nextTick(done, null);
    } else {
      this.#sent = result;
      if (done) this.#waiting.push({ at: result, done });
    }
  }
}

/** @param {Outbox} outbox */
function endTurn(outbox) {
  outbox.endTurn();
}

module.exports = { Outbox };
