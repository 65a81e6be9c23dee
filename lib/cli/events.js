'use strict';

/** What happens to the app, as plain data: for the printer, and for who asks over the socket. */

module.exports = { follow };

/**
 * An event; which other properties there are, depends on its name. `docs/command.md` has them all.
 * @typedef {{ event: string, [property: string]: any }} Event
 */

/** The supervisor's events that come with a worker. */
const OF_WORKER = /** @type {const} */ ([
  'start',
  'ready',
  'notReady',
  'drain',
  'kill',
  'exit',
  'hang',
  'recycle',
  'leader',
]);

/** Those that come without. */
const OF_APP = /** @type {const} */ ([
  'running',
  'backoff',
  'crashLoop',
  'scale',
  'reload',
  'reloaded',
  'reloadFailed',
  'signal',
  'stop',
  'stopped',
]);

/**
 * @param {import('cluster').Cluster} cluster
 * @param {import('../supervisor').Supervisor} supervisor
 * @param {(event: Event) => void} onEvent
 */
function follow(cluster, supervisor, onEvent) {
  // As one type: what is alike in all of them is all that is used here.
  const emitter = /** @type {import('events').EventEmitter} */ (supervisor);
  for (const name of OF_WORKER) {
    emitter.on(name, (worker, info) => onEvent({ event: name, ...place(worker), ...info }));
  }
  for (const name of OF_APP) emitter.on(name, (info) => onEvent({ event: name, ...plain(info) }));
  cluster.on('listening', (worker, address) => {
    const supervised = /** @type {import('../supervisor').SupervisedWorker} */ (worker);
    onEvent({ event: 'listening', ...place(supervised), ...address });
  });
}

/** @param {import('../supervisor').SupervisedWorker} worker */
function place({ slot, process: { pid } }) {
  return { slot, pid };
}

/** JSON makes nothing of an Error. @param {any} info */
function plain({ error, ...info }) {
  if (!error) return info;
  const { code, message, slot, exit } = error;
  return { ...info, error: { code, message, slot, exit } };
}
