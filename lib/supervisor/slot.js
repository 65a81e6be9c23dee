'use strict';

/**
 * One place for a worker: keeps it filled, with a new worker when the old one has crashed, and
 * replaces the worker without a gap. While one takes the place of another, both are here.
 */

const { Backoff } = require('./backoff');
const { error } = require('./errors');

/** @typedef {InstanceType<typeof import('./member').Member>} Member */
/** @typedef {import('.').Reason} Reason */
/** @typedef {import('.').ExitInfo} ExitInfo */

/**
 * @typedef {object} Context
 * @property {import('.').ResolvedOptions} options
 * @property {(slot: Slot) => Member} launch
 * @property {(event: any, ...args: any[]) => void} emit
 * @property {() => void} changed somebody has become ready, has ended, or a slot is given up
 */

class Slot {
  number;
  /** The one whose place it is. @type {Member | undefined} */
  member;
  /** The one that will take its place. @type {Member | undefined} */
  candidate;
  /** Those that go. @type {Set<Member>} */
  outgoing = new Set();
  /** Whether it has been given up. */
  failed = false;
  crashes = 0;
  restarts = -1;

  #context;
  #backoff;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #closed = false;

  /**
   * @param {number} number
   * @param {Context} context
   */
  constructor(number, context) {
    this.number = number;
    this.#context = context;
    this.#backoff = new Backoff(context.options);
  }

  /** All that have a process. */
  get members() {
    const all = new Set([this.member, this.candidate, ...this.outgoing]);
    return [...all].filter((each) => each !== undefined);
  }

  /** Fills the place, which is empty. Resolves when the worker is ready. */
  start(/** @type {'start' | 'crash' | Reason} */ reason) {
    this.#cancelRestart();
    this.failed = false;
    this.member = this.#launch(reason);
    return this.member.ready;
  }

  /** Tries again, if it had been given up or is waiting; resolves when a worker is ready. */
  async revive(/** @type {Reason} */ reason) {
    if (this.member || this.candidate) return;
    this.#backoff.reset();
    await this.start(reason);
  }

  /**
   * Puts a new worker into the place of the old one: ready before the old one goes, and resolved
   * when that is gone. If the new one does not come up, the old one stays.
   */
  async replace(/** @type {Reason} */ reason) {
    if (this.#closed) throw stopped();
    this.#cancelRestart();
    const candidate = this.#launch(reason);
    this.candidate = candidate;
    try {
      await candidate.ready;
    } catch (failure) {
      candidate.terminate();
      const exit = await candidate.exited;
      this.candidate = undefined;
      // The old one may have ended meanwhile, or have been down before.
      if (!this.member && !this.failed && !this.#closed) this.#restartLater(exit, 0);
      throw this.#closed ? stopped() : failure;
    }
    const old = this.member;
    this.#cancelRestart();
    this.candidate = undefined;
    this.member = candidate;
    this.failed = false;
    this.#backoff.reset();
    if (old) await this.#retire(old, reason);
  }

  /** Empties the place for good. Resolves when nobody is there any more. */
  async close(/** @type {Reason} */ reason) {
    this.#closed = true;
    this.#cancelRestart();
    await Promise.all(this.members.map((member) => this.#retire(member, reason)));
  }

  kill() {
    this.#closed = true;
    this.#cancelRestart();
    for (const member of this.members) member.kill(member.reason ?? 'stop');
  }

  /** A worker goes by itself: another takes its place at once. */
  onLeaving(/** @type {Member} */ member, /** @type {Reason} */ reason) {
    this.#letGo(member, reason, () => member.leave(reason));
  }

  /** Tells a worker to go: another takes its place at once. */
  dismiss(/** @type {Member} */ member, /** @type {Reason} */ reason) {
    this.#letGo(member, reason, () => member.retire(reason));
  }

  /** @param {Member} member @param {Reason} reason @param {() => void} begin */
  #letGo(member, reason, begin) {
    if (member.isLeaving || member.state === 'dead') return;
    const wasReady = member.state === 'ready';
    this.#context.emit('drain', member.worker, { reason });
    begin();
    // One that leaves before it is ready would be followed by others without end.
    if (member !== this.member || !wasReady) return;
    this.outgoing.add(member);
    this.member = undefined;
    if (!this.#closed && !this.candidate) this.startOrRetry(reason);
  }

  async #retire(/** @type {Member} */ member, /** @type {Reason} */ reason) {
    if (member !== this.member || !this.#closed) this.outgoing.add(member);
    if (!member.isLeaving) {
      this.#context.emit('drain', member.worker, { reason });
      member.retire(reason);
      this.#context.changed();
    }
    await member.exited;
  }

  #launch(/** @type {'start' | 'crash' | Reason} */ reason) {
    const { changed, emit, launch } = this.#context;
    const member = launch(this);
    this.restarts++;
    emit('start', member.worker, { reason });
    member.ready.then(
      () => {
        emit('ready', member.worker, { ms: Math.round(member.uptime) });
        changed();
      },
      () => {},
    );
    member.exited.then((exit) => this.#onExit(member, exit));
    return member;
  }

  #onExit(/** @type {Member} */ member, /** @type {ExitInfo} */ exit) {
    this.outgoing.delete(member);
    if (!exit.expected) this.crashes++;
    this.#context.emit('exit', member.worker, exit);
    if (member === this.member) {
      this.member = undefined;
      if (!this.#closed) this.#onLoss(exit, member.endedAfter);
    }
    this.#context.changed();
  }

  #onLoss(/** @type {ExitInfo} */ exit, /** @type {number} */ readyFor) {
    // Somebody is about to take the place anyway.
    if (this.candidate) return;
    if (exit.expected && readyFor > 0) this.startOrRetry('disconnect');
    else this.#restartLater(exit, readyFor);
  }

  #restartLater(/** @type {ExitInfo} */ exit, /** @type {number} */ readyFor) {
    const slot = this.number;
    const delay = this.#backoff.next(exit, readyFor);
    if (delay === undefined) {
      this.failed = true;
      this.#context.emit('crashLoop', { slot, crashes: this.#backoff.crashes });
      return;
    }
    this.#context.emit('backoff', { slot, delay, crashes: this.#backoff.count });
    this.#timer = setTimeout(() => this.startOrRetry('crash'), delay);
  }

  /** Starting a process may itself fail: no memory, no descriptors. */
  startOrRetry(/** @type {'start' | 'crash' | Reason} */ reason) {
    try {
      this.start(reason);
    } catch (failure) {
      const stderr = [String(failure)];
      /** @type {ExitInfo} */
      const exit = {
        code: null,
        signal: null,
        expected: false,
        reason: 'crash',
        uptime: 0,
        stderr,
      };
      this.#restartLater(exit, 0);
      this.#context.changed();
    }
  }

  get isWaiting() {
    return this.#timer !== undefined;
  }

  #cancelRestart() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

function stopped() {
  return error('ERR_SUPERVISOR_STOPPED', 'The supervisor is stopping');
}

module.exports = { Slot };
