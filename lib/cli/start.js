'use strict';

/** `rust-cluster start`: runs an app in the foreground until it is stopped. */

const { Addresses } = require('./addresses');
const { wantsColour } = require('./colour');
const { claim } = require('./control/server');
const { follow } = require('./events');
const { EXIT, Failure } = require('./failure');
const { eachLine } = require('./lines');
const { plan } = require('./plan');
const { makePrinter } = require('./printer');
const { version } = require('../../package.json');

module.exports = { start };

/**
 * @param {string | undefined} app
 * @param {string[]} args
 * @param {Record<string, any>} flags those that were given
 */
async function start(app, args, flags) {
  const planned = await plan(app, args, flags);
  const { name, script, home } = planned;
  const about = { name, pid: process.pid, script, home, cwd: process.cwd(), version };
  const cluster = loadCluster();
  const addresses = new Addresses();
  const listeners = new Listeners();
  const control = await claim(name, {
    about: () => about,
    status: () => ({ ...about, addresses: addresses.all(), ...supervisor.status() }),
    reload: ({ parallel }, progress) =>
      listeners.during(progress, () => supervisor.reload({ parallel })),
    scale: ({ workers }, progress) => listeners.during(progress, () => supervisor.scale(workers)),
    stop: ({ now }, progress) => listeners.during(progress, () => supervisor.stop({ now })),
  });

  const printer = makePrinter(planned);
  cluster.on('fork', (worker) => printOutput(worker, printer));
  const supervisor = superviseOrClose(cluster, planned, control);
  printer.event({ event: 'app', ...about, socket: control.path });
  follow(cluster, supervisor, (event) => {
    // Each worker says so; once is enough.
    if (event.event === 'listening' && !addresses.add(event)) return;
    if (event.event === 'exit') addresses.remove(event);
    printer.event(event);
    listeners.tell(event);
  });
}

/** Those who wait for something, and want to hear meanwhile what happens. */
class Listeners {
  /** @type {Set<(event: object) => void>} */
  #all = new Set();

  /** @param {object} event */
  tell(event) {
    for (const listener of this.#all) listener(event);
  }

  /** @param {(event: object) => void} listener @param {() => Promise<any>} work */
  async during(listener, work) {
    this.#all.add(listener);
    try {
      return await work();
    } finally {
      this.#all.delete(listener);
    }
  }
}

function loadCluster() {
  const cluster = require('../..');
  if (cluster.native) return cluster;
  throw new Failure(
    EXIT.failed,
    'the native core could not be loaded, and the command does not run without it',
    'the warning above says why; cluster.supervise() in a program of yours runs without it, too',
  );
}

/**
 * @param {ReturnType<typeof loadCluster>} cluster
 * @param {import('./plan').Plan} planned
 * @param {{ close: () => void }} control closed if it fails: the process would not end otherwise
 */
function superviseOrClose(cluster, { script, args, options, clusterSettings, ...rest }, control) {
  const env = { ...rest.env };
  // What they print goes through a pipe, but to a terminal in the end.
  if (!rest.json && wantsColour(process.stdout) && !('NO_COLOR' in env)) {
    env.FORCE_COLOR ??= process.env.FORCE_COLOR ?? '1';
  }
  try {
    cluster.setupPrimary(clusterSettings);
    return cluster.supervise({
      ...options,
      exec: script,
      args,
      execArgv: rest.nodeArgs,
      cwd: rest.cwd,
      env,
      silent: true,
      log: false,
    });
  } catch (error) {
    control.close();
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (!code?.startsWith('ERR_INVALID_ARG')) throw error;
    throw new Failure(EXIT.usage, message);
  }
}

/** @param {import('cluster').Worker} worker @param {import('./printer').Printer} printer */
function printOutput(worker, printer) {
  const { slot, process: child } = /** @type {import('../supervisor').SupervisedWorker} */ (worker);
  for (const name of /** @type {const} */ (['stdout', 'stderr'])) {
    const stream = /** @type {import('stream').Readable} */ (child[name]);
    eachLine(stream, (line) => printer.output(slot, Number(child.pid), name, line));
  }
}
