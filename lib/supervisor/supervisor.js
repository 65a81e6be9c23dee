'use strict';

/** The supervisor: a number of slots, and what is done with all of them, one thing after another. */

const { EventEmitter } = require('events');

const { resolveCount } = require('./cpus');
const { Crew } = require('./crew');
const { error } = require('./errors');
const { HangWatch } = require('./hang');
const { Leadership } = require('./leader');
const { takeInherited } = require('./listen-fds');
const { logEvents } = require('./log');
const { Member } = require('./member');
const { checkCount } = require('./options');
const { Queue } = require('./queue');
const { limitsOf, Recycling } = require('./recycle');
const { reload } = require('./reload');
const { obeySignals, untilHeard } = require('./signals');
const { stackOf } = require('./stack');
const { statusOf } = require('./status');
const { tellSystemd } = require('./systemd');

/** @typedef {InstanceType<typeof import('./slot').Slot>} Slot */
/** @typedef {InstanceType<typeof Member>} Process */

class Supervisor extends EventEmitter {
  options;
  state = /** @type {'starting' | 'running' | 'stopping' | 'stopped'} */ ('starting');
  startedAt = performance.now();
  generation = 1;
  wanted;
  /** @type {Promise<void>} */
  running;
  isReloading = false;

  #cluster;
  #crew;
  #inherited;
  #queue = new Queue();
  #leadership;
  #recycling;
  #hangs;
  /** What else has to end with this. @type {(() => void)[]} */
  #ends = [];
  /** @type {Promise<import('.').Status> | undefined} */
  #nextReload;
  /** @type {Promise<void> | undefined} */
  #stopped;
  /** Ends the delay before draining. */
  #hurry = () => {};
  #exitCode = 0;
  /** @type {(failure?: Error) => void} */
  #settleRunning = () => {};

  /**
   * @param {any} cluster
   * @param {import('.').ResolvedOptions} options
   */
  constructor(cluster, options) {
    super();
    this.options = options;
    this.#cluster = cluster;
    const { exec, args, execArgv, cwd, silent } = options;
    const settings = Object.entries({ exec, args, execArgv, cwd, silent });
    cluster.setupPrimary(Object.fromEntries(settings.filter(([, value]) => value !== undefined)));

    this.#crew = new Crew({
      options,
      launch: (slot) => this.#launch(slot),
      emit: (event, ...args) => this.#onSlotEvent(event, args),
      changed: () => this.#onChanged(),
    });
    this.#inherited = options.systemd ? takeInherited() : [];
    this.#leadership = new Leadership(({ worker }) => this.emit('leader', worker));
    this.#recycling = new Recycling(
      options,
      () => this.#crew.ready,
      (member, info) => this.#recycle(member, info),
    );
    this.#hangs = new HangWatch(
      options.hangTimeout,
      () => this.#crew.ready,
      (member, ms) => this.#onHang(member, ms),
    );
    this.#ends.push(() => this.#recycling.stop());
    this.#ends.push(() => this.#hangs.stop());
    const self = /** @type {import('.').Supervisor} */ (/** @type {unknown} */ (this));
    logEvents(self, options.log);
    if (options.systemd) this.#ends.push(tellSystemd(self));
    if (options.signals) obeySignals(this, (code) => (this.#exitCode = code));

    this.wanted = resolveCount(options.workers);
    this.running = new Promise((resolve, reject) => {
      this.#settleRunning = (failure) => (failure ? reject(failure) : resolve());
    });
    this.running.catch(() => {});
    // Whoever has just called this has not had a chance to listen.
    process.nextTick(() => this.#begin());
  }

  #begin() {
    if (this.#stopped) return;
    this.#crew.start(this.wanted);
    this.#onChanged();
  }

  get leader() {
    return this.#leadership.current?.worker;
  }

  status() {
    return statusOf(this, this.#crew.slots);
  }

  /** @param {import('.').WorkerCount} workers */
  async scale(workers) {
    checkCount(workers);
    this.#checkRuns();
    return this.#queue.run(async () => {
      this.#checkRuns();
      const to = resolveCount(workers);
      this.emit('scale', { from: this.wanted, to });
      this.wanted = to;
      await Promise.all([...this.#crew.grow(to), ...this.#crew.shrink(to)]);
      return this.status();
    });
  }

  /** @param {{ parallel?: number }} [options] */
  async reload({ parallel = this.options.parallel } = {}) {
    this.#checkRuns();
    // Whoever calls before it has begun gets this one.
    this.#nextReload ??= this.#queue.run(async () => {
      this.#nextReload = undefined;
      this.#checkRuns();
      const generation = ++this.generation;
      this.isReloading = true;
      try {
        const emit = (/** @type {string} */ event, /** @type {object} */ info) =>
          this.emit(event, { generation, ...info });
        await reload(this.#crew.slots, parallel, emit);
      } finally {
        this.isReloading = false;
      }
      return this.status();
    });
    return this.#nextReload;
  }

  /** @param {{ now?: boolean, delay?: number, signal?: NodeJS.Signals }} [options] */
  stop({ now = false, delay = 0, signal } = {}) {
    this.#stopped ??= this.#stop(delay, signal);
    if (now) this.#stopNow();
    return this.#stopped;
  }

  /** @param {number} delay @param {NodeJS.Signals | undefined} signal */
  async #stop(delay, signal) {
    this.state = 'stopping';
    this.#settleRunning(stoppedError());
    this.emit('stop', { signal });
    this.#recycling.stop();
    this.#hangs.stop();
    if (delay > 0) await this.#serveOn(delay);
    await Promise.all(this.#crew.slots.map((slot) => slot.close('stop')));
    for (const end of this.#ends) end();
    this.state = 'stopped';
    this.emit('stopped', { code: this.#exitCode });
    if (this.options.signals) {
      // Those who heard it may have something to finish in this turn.
      setImmediate(() => process.exit(this.#exitCode));
    } else if (this.#exitCode !== 0) {
      process.exitCode = this.#exitCode;
    }
  }

  /**
   * The workers know that they will go, and serve on.
   * @param {number} delay
   * @returns {Promise<void>}
   */
  #serveOn(delay) {
    for (const member of this.#crew.members) member.warn('stop', delay + this.options.killTimeout);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #stopNow() {
    this.#hurry();
    for (const slot of this.#crew.slots) slot.kill();
  }

  /** Crash loops are told with how many others run; all other events as they come. */
  #onSlotEvent(/** @type {string} */ event, /** @type {any[]} */ args) {
    if (event === 'crashLoop') {
      const left = this.#crew.slots.filter(({ failed }) => !failed).length;
      this.emit(event, { ...args[0], left });
    } else {
      this.emit(event, ...args);
    }
  }

  #launch(/** @type {Slot} */ slot) {
    const place = {
      slot: slot.number,
      generation: this.generation,
      limits: limitsOf(this.options),
      inherited: this.#inherited,
    };
    return new Member(this.#cluster, this.options, place, {
      notReady: ({ worker }) => {
        const { listenTimeout: timeout, readyOn } = this.options;
        this.emit('notReady', worker, { timeout, readyOn });
      },
      kill: ({ worker, reason = 'stop' }, signal, drained) => {
        this.emit('kill', worker, { signal, reason, drained });
      },
      message: (member, message) => this.#onMessage(slot, member, message),
    });
  }

  /** @param {Slot} slot @param {Process} member @param {any} message */
  #onMessage(slot, member, message) {
    switch (message.act) {
      case 'signalled':
        untilHeard().then(() => {
          if (!this.#stopped) slot.dismiss(member, 'self');
        });
        break;
      case 'leaving':
        slot.onLeaving(member, message.reason);
        break;
      case 'resigned':
        this.#leadership.onResigned(member);
        break;
      case 'served':
        this.#recycling.onServed(member, message.connections);
        break;
      default:
        throw new Error(`A supervisor has no message '${message.act}'`);
    }
    this.#onChanged();
  }

  /** @param {Process} member @param {Parameters<ConstructorParameters<typeof Recycling>[2]>[1]} info */
  #recycle(member, info) {
    return this.#queue.run(async () => {
      const slot = this.#crew.get(member.slot);
      // It may have been replaced while this waited.
      if (slot?.member !== member || member.isLeaving || this.#stopped) return;
      this.emit('recycle', member.worker, info);
      await slot.replace(info.reason);
    });
  }

  async #onHang(/** @type {Process} */ member, /** @type {number} */ ms) {
    const { pid } = member.worker.process;
    const stack = this.options.hangStack ? await stackOf(pid) : undefined;
    if (member.state !== 'ready') return;
    this.emit('hang', member.worker, { ms, stack });
    // It would not hear SIGTERM.
    member.kill('hang');
  }

  #onChanged() {
    if (this.#stopped) return;
    this.#leadership.update(this.#crew.ready);
    if (this.#crew.hasFailed) {
      this.#exitCode = 1;
      this.stop();
    } else if (this.state === 'starting' && this.#crew.isSettled) {
      this.state = 'running';
      const ms = Math.round(performance.now() - this.startedAt);
      this.emit('running', { workers: this.#crew.ready.length, ms });
      this.#settleRunning();
    }
  }

  #checkRuns() {
    if (this.#stopped) throw stoppedError();
  }
}

function stoppedError() {
  return error('ERR_SUPERVISOR_STOPPED', 'The supervisor is stopping, or has stopped');
}

module.exports = { Supervisor };
