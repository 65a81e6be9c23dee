'use strict';

/** The supervisor: a number of slots, and what is done with all of them, one thing after another. */

const { EventEmitter } = require('events');

const { resolveCount } = require('./cpus');
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
const { exitCodeOf, watchSignals } = require('./signals');
const { Slot } = require('./slot');
const { stackOf } = require('./stack');
const { statusOf } = require('./status');
const { tellSystemd } = require('./systemd');

/** @typedef {InstanceType<typeof Slot>} Place */
/** @typedef {InstanceType<typeof Member>} Process */

class Supervisor extends EventEmitter {
  options;
  state = /** @type {'starting' | 'running' | 'stopping' | 'stopped'} */ ('starting');
  startedAt = performance.now();
  generation = 1;
  wanted;
  /** @type {Promise<void>} */
  running;
  /** @type {Map<number, Place>} */
  slots = new Map();

  #cluster;
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

    this.#inherited = options.systemd ? takeInherited() : [];
    this.#leadership = new Leadership(({ worker }) => this.emit('leader', worker));
    this.#recycling = new Recycling(
      options,
      () => this.#ready(),
      (member, info) => this.#recycle(member, info),
    );
    this.#hangs = new HangWatch(
      options.hangTimeout,
      () => this.#ready(),
      (member, ms) => this.#onHang(member, ms),
    );
    this.#ends.push(() => this.#recycling.stop());
    this.#ends.push(() => this.#hangs.stop());
    const self = /** @type {import('.').Supervisor} */ (/** @type {unknown} */ (this));
    logEvents(self, options.log);
    if (options.systemd) this.#ends.push(tellSystemd(self));
    if (options.signals) this.#watchSignals();

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
    for (let number = 0; number < this.wanted; number++) this.#open(number).startOrRetry('start');
    this.#onChanged();
  }

  get leader() {
    return this.#leadership.current?.worker;
  }

  get isReloading() {
    return this.slotList.some(({ candidate }) => candidate !== undefined);
  }

  get slotList() {
    return [...this.slots.values()].sort((a, b) => a.number - b.number);
  }

  status() {
    return statusOf(this);
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
      await Promise.all([...this.#grow(to), ...this.#shrink(to)]);
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
      this.generation++;
      await reload(this, parallel, (event, info) => this.emit(event, info));
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
    await Promise.all(this.slotList.map((slot) => slot.close('stop')));
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
    for (const member of this.#members()) member.warn('stop', delay + this.options.killTimeout);
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
    for (const slot of this.slots.values()) slot.kill();
  }

  #open(/** @type {number} */ number) {
    const slot = new Slot(number, {
      options: this.options,
      launch: (slot) => this.#launch(slot),
      emit: (event, ...args) => this.#onSlotEvent(event, args),
      changed: () => this.#onChanged(),
    });
    this.slots.set(number, slot);
    return slot;
  }

  /** Crash loops are told with how many others run; all other events as they come. */
  #onSlotEvent(/** @type {string} */ event, /** @type {any[]} */ args) {
    if (event === 'crashLoop') {
      const left = this.slotList.filter(({ failed }) => !failed).length;
      this.emit(event, { ...args[0], left });
    } else {
      this.emit(event, ...args);
    }
  }

  #launch(/** @type {Place} */ slot) {
    const place = {
      slot: slot.number,
      generation: this.generation,
      limits: limitsOf(this.options),
      inherited: this.#inherited,
    };
    return new Member(this.#cluster, this.options, place, {
      notReady: ({ worker }) => {
        this.emit('notReady', worker, { timeout: this.options.listenTimeout });
      },
      kill: ({ worker, reason = 'stop' }, signal) => this.emit('kill', worker, { signal, reason }),
      message: (member, message) => this.#onMessage(slot, member, message),
    });
  }

  /** @param {Place} slot @param {Process} member @param {any} message */
  #onMessage(slot, member, message) {
    switch (message.act) {
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

  /** New slots, and those that were given up. @returns {Promise<void>[]} */
  #grow(/** @type {number} */ to) {
    return Array.from({ length: to }, (_each, number) => {
      const slot = this.slots.get(number);
      return slot ? slot.revive('scale') : this.#open(number).start('scale');
    });
  }

  /** @returns {Promise<void>[]} */
  #shrink(/** @type {number} */ to) {
    return this.slotList.slice(to).map(async (slot) => {
      await slot.close('scale');
      this.slots.delete(slot.number);
    });
  }

  /** @param {Process} member @param {Parameters<ConstructorParameters<typeof Recycling>[2]>[1]} info */
  #recycle(member, info) {
    return this.#queue.run(async () => {
      const slot = this.slots.get(member.slot);
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

  #members() {
    return this.slotList.flatMap(({ members }) => members);
  }

  /** Those who serve in their slots. */
  #ready() {
    return this.slotList.flatMap(({ member }) => (member?.state === 'ready' ? [member] : []));
  }

  #onChanged() {
    if (this.#stopped) return;
    this.#leadership.update(this.#ready());
    const slots = this.slotList;
    if (slots.length > 0 && slots.every(({ failed, members }) => failed && members.length === 0)) {
      this.#exitCode = 1;
      this.stop();
    } else if (this.state === 'starting' && this.#ready().length === this.wanted) {
      this.state = 'running';
      const ms = Math.round(performance.now() - this.startedAt);
      this.emit('running', { workers: this.wanted, ms });
      this.#settleRunning();
    }
  }

  #watchSignals() {
    const unwatch = watchSignals({
      stop: (signal) => {
        const isFirst = this.#stopped === undefined;
        this.emit('signal', { signal, action: isFirst ? 'stop' : 'stop-now' });
        if (!isFirst) this.#exitCode = exitCodeOf(signal);
        const delay = signal === 'SIGTERM' ? this.options.drainDelay : 0;
        this.stop({ now: !isFirst, delay, signal });
      },
      reload: (signal) => {
        this.emit('signal', { signal, action: 'reload' });
        // Its failure is an event as well.
        this.reload().catch(() => {});
      },
    });
    this.#ends.push(unwatch);
  }

  #checkRuns() {
    if (this.#stopped) throw stoppedError();
  }
}

function stoppedError() {
  return error('ERR_SUPERVISOR_STOPPED', 'The supervisor is stopping, or has stopped');
}

module.exports = { Supervisor };
