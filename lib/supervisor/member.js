'use strict';

/** One worker's process, from its start to its end. What takes its place is not its business. */

const { messageOf, wrap } = require('../drain/protocol');
const { error } = require('./errors');
const { launch } = require('./launch');
const { untilHeard } = require('./signals');
const { Tail } = require('./tail');

/** @typedef {import('.').Reason} Reason */
/** @typedef {import('.').ExitInfo} ExitInfo */

/** Something else may hold the pipe of a worker that has ended: its output is not waited for longer. */
const OUTPUT_TIMEOUT = 250;

/**
 * @typedef {object} Hooks
 * @property {(member: Member) => void} notReady
 * @property {(member: Member, signal: NodeJS.Signals, drained: boolean) => void} kill
 * @property {(member: Member, message: any) => void} message of the worker's own side
 */

class Member {
  /** @type {any} */
  worker;
  slot;
  generation;
  startedAt = performance.now();
  /** @type {number | undefined} */
  readyAt;
  state = /** @type {'starting' | 'ready' | 'draining' | 'dead'} */ ('starting');
  /** Why it goes, once it does. @type {Reason | undefined} */
  reason;
  /** Resolves when it is ready; rejects when it will not be. @type {Promise<void>} */
  ready;
  /** @type {Promise<ExitInfo>} */
  exited;
  /** The worker's own limits, which are not all the same. */
  limits;

  #options;
  #hooks;
  #tail = new Tail();
  #isTerminating = false;
  /** @type {Set<NodeJS.Timeout>} */
  #timers = new Set();
  /** @type {(error?: import('.').SupervisorError) => void} */
  #settleReady = () => {};

  /**
   * @param {any} cluster
   * @param {import('.').ResolvedOptions} options
   * @param {{ slot: number, generation: number, limits: import('./recycle').Limits,
   *   inherited: import('./listen-fds').Inherited[] }} place
   * @param {Hooks} hooks
   */
  constructor(cluster, options, { slot, generation, limits, inherited }, hooks) {
    this.slot = slot;
    this.generation = generation;
    this.limits = limits;
    this.#options = options;
    this.#hooks = hooks;
    this.worker = launch(cluster, options, {
      slot,
      maxConnections: limits.connections,
      inherited,
      onStderr: (text) => this.#tail.add(text),
    });
    Object.assign(this.worker, { slot, generation });
    this.exited = this.#untilExit();
    this.ready = this.#untilReady();
    // Whoever wants to know asks; nobody has to.
    this.ready.catch(() => {});
    this.worker.process.on('internalMessage', (/** @type {any} */ message) => {
      const ours = messageOf(message);
      if (ours) this.#hooks.message(this, ours);
    });
    // What could not be sent to a worker that goes is of no use to it.
    this.worker.on('error', () => {});
  }

  get uptime() {
    return performance.now() - this.startedAt;
  }

  get readyFor() {
    return this.readyAt === undefined ? 0 : performance.now() - this.readyAt;
  }

  get isLeaving() {
    return this.reason !== undefined;
  }

  /** @param {import('../drain/protocol').ToWorker} message */
  say(message) {
    if (this.worker.isConnected()) this.worker.send(wrap(message), () => {});
  }

  /**
   * Tells it that it will go: now, or soon, and then it serves on until then.
   * @param {Reason} reason
   * @param {number} timeout
   * @param {boolean} [now]
   */
  warn(reason, timeout, now = false) {
    this.say({ act: 'drain', reason, timeout, now });
  }

  /** Tells it to go, and sees to it that it does. */
  retire(/** @type {Reason} */ reason) {
    if (this.isLeaving || this.state === 'dead') return;
    const wasReady = this.state === 'ready';
    this.leave(reason);
    if (!wasReady) {
      this.terminate();
      return;
    }
    this.warn(reason, this.#options.killTimeout, true);
    // Messages of one turn are written when it ends; this one comes first.
    process.nextTick(() => {
      if (this.worker.isConnected()) this.worker.disconnect();
    });
  }

  /** It goes, or has begun to by itself. */
  leave(/** @type {Reason} */ reason) {
    if (this.isLeaving || this.state === 'dead') return;
    this.reason = reason;
    this.state = 'draining';
    this.#settleReady(error('ERR_SUPERVISOR_STOPPED', `The worker in slot ${this.slot} was ended`));
    this.#after(this.#options.killTimeout, () => this.terminate());
    const { worker } = this;
    const onGone = () => {
      if (!this.#isTerminating) this.#after(this.#options.exitTimeout, () => this.terminate());
    };
    if (worker.isConnected()) worker.once('disconnect', onGone);
    else onGone();
  }

  /** SIGTERM, and when that does not help, SIGKILL. */
  terminate() {
    if (this.state === 'dead' || this.#isTerminating) return;
    this.#isTerminating = true;
    this.#clearTimers();
    this.say({ act: 'end' });
    this.#signal('SIGTERM');
    this.#after(this.#options.killDelay, () => this.kill());
  }

  kill(/** @type {Reason | undefined} */ reason = this.reason) {
    if (this.state === 'dead') return;
    this.reason = reason;
    this.state = 'draining';
    this.#clearTimers();
    this.#signal('SIGKILL');
  }

  #signal(/** @type {NodeJS.Signals} */ signal) {
    this.#hooks.kill(this, signal, !this.worker.isConnected());
    this.worker.process.kill(signal);
  }

  /** @returns {Promise<void>} */
  #untilReady() {
    const { listenTimeout, readyOn } = this.#options;
    const { worker } = this;
    return new Promise((resolve, reject) => {
      const onMessage = (/** @type {unknown} */ message) => {
        if (message === 'ready') this.#settleReady();
      };
      this.#settleReady = (failure) => {
        this.#settleReady = () => {};
        worker.removeListener('message', onMessage);
        if (failure) {
          reject(failure);
          return;
        }
        this.#clearTimers();
        this.readyAt = performance.now();
        this.state = 'ready';
        resolve();
      };
      if (readyOn === 'ready') worker.on('message', onMessage);
      else worker.once(readyOn, () => this.#settleReady());
      if (listenTimeout > 0) this.#after(listenTimeout, () => this.#onNotReady(listenTimeout));
    });
  }

  #onNotReady(/** @type {number} */ timeout) {
    const what = `The worker in slot ${this.slot} was not ready within ${timeout} ms`;
    this.reason = 'not-ready';
    this.state = 'draining';
    this.#settleReady(error('ERR_WORKER_NOT_READY', what, { slot: this.slot }));
    this.#hooks.notReady(this);
    this.terminate();
  }

  /** @returns {Promise<ExitInfo>} */
  async #untilExit() {
    const { worker } = this;
    const { code, signal } = await new Promise((resolve) => {
      worker.once('exit', (/** @type {any} */ code, /** @type {any} */ signal) => {
        resolve({ code, signal });
      });
      // It could not even be started: there is no exit then.
      worker.process.once('error', (/** @type {any} */ failure) => {
        if (worker.process.pid !== undefined) return;
        this.#tail.add(`${failure.message}\n`);
        resolve({ code: null, signal: null });
      });
    });
    const uptime = Math.round(this.uptime);
    const readyFor = this.readyFor;
    // Before its first step is done, a worker dies of what the primary obeys.
    if (!this.isLeaving && (signal === 'SIGINT' || signal === 'SIGTERM')) await untilHeard();
    this.state = 'dead';
    this.#clearTimers();
    await this.#untilOutputIsRead();
    /** @type {ExitInfo} */
    const exit = {
      code,
      signal,
      expected: this.isLeaving && this.reason !== 'not-ready' && this.reason !== 'hang',
      reason: this.reason ?? 'crash',
      uptime,
      stderr: this.#tail.lines,
    };
    if (!this.isLeaving && worker.exitedAfterDisconnect) {
      Object.assign(exit, { expected: true, reason: 'disconnect' });
    }
    this.endedAfter = readyFor;
    const how = signal ? `signal ${signal}` : `code ${code}`;
    const what = `The worker in slot ${this.slot} ended with ${how} before it was ready`;
    this.#settleReady(error('ERR_WORKER_EXITED', what, { slot: this.slot, exit }));
    return exit;
  }

  /** For how long it had been ready when it ended. */
  endedAfter = 0;

  /** @returns {Promise<void>} */
  #untilOutputIsRead() {
    const { stderr } = this.worker.process;
    if (!stderr || stderr.closed || stderr.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, OUTPUT_TIMEOUT);
      stderr.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #after(/** @type {number} */ delay, /** @type {() => void} */ action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delay);
    this.#timers.add(timer);
  }

  #clearTimers() {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

module.exports = { Member };
