'use strict';

/** `rust-cluster start`: runs an app in the foreground until it is stopped. */

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
  const listeners = new Set();
  const control = await claim(name, {
    about: () => about,
    status: () => ({ ...about, addresses: addresses.all(), ...supervisor.status() }),
    reload: ({ parallel }, progress) => during(progress, () => supervisor.reload({ parallel })),
    scale: ({ workers }, progress) => during(progress, () => supervisor.scale(workers)),
    stop: ({ now }, progress) => during(progress, () => supervisor.stop({ now })),
  });

  const printer = makePrinter(planned);
  const addresses = makeAddresses();
  printer.event({ event: 'app', ...about, socket: control.path });
  const cluster = loadCluster();
  cluster.on('fork', (worker) => printOutput(worker, printer));
  const supervisor = supervise(cluster, planned);
  follow(cluster, supervisor, (event) => {
    // Each worker says so; once is enough.
    if (event.event === 'listening' && !addresses.add(event)) return;
    printer.event(event);
    for (const listener of listeners) listener(event);
  });

  /** @param {(event: object) => void} progress @param {() => Promise<any>} work */
  async function during(progress, work) {
    listeners.add(progress);
    try {
      return await work();
    } finally {
      listeners.delete(progress);
    }
  }
}

/** @returns {import('cluster').Cluster} */
function loadCluster() {
  const cluster = require('../..');
  if (cluster.native) return cluster;
  throw new Failure(
    EXIT.failed,
    'the native core could not be loaded, and nothing runs without it',
  );
}

/**
 * @param {import('cluster').Cluster} cluster
 * @param {import('./plan').Plan} planned
 */
function supervise(cluster, { script, args, options, clusterSettings, ...rest }) {
  const env = { ...rest.env };
  // What they print goes through a pipe, but to a terminal in the end.
  if (!rest.json && wantsColour(process.stdout) && !('NO_COLOR' in env)) {
    env.FORCE_COLOR ??= process.env.FORCE_COLOR ?? '1';
  }
  try {
    cluster.setupPrimary(clusterSettings);
    return require('../supervisor').supervise(cluster, {
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

/** Where the app listens. */
function makeAddresses() {
  /** @type {Map<string, import('cluster').Address>} */
  const known = new Map();
  return {
    /** @param {any} event @returns {boolean} whether it is a new one */
    add({ addressType, address, port }) {
      const key = JSON.stringify([addressType, address, port]);
      const isNew = !known.has(key);
      known.set(key, { addressType, address, port });
      return isNew;
    },
    all: () => [...known.values()],
  };
}
