'use strict';

/** What happens to the workers, as plain data: for people, and for other programs. */

module.exports = { follow, place };

/**
 * An event; which other properties there are, depends on its name.
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
 * @param {import('.').Supervisor} supervisor
 * @param {(event: Event) => void} onEvent
 */
function follow(supervisor, onEvent) {
  // As one type: what is alike in all of them is all that is used here.
  const emitter = /** @type {import('events').EventEmitter} */ (supervisor);
  for (const name of OF_WORKER) {
    emitter.on(name, (worker, info) => onEvent({ event: name, ...place(worker), ...info }));
  }
  for (const name of OF_APP) emitter.on(name, (info) => onEvent({ event: name, ...plain(info) }));
}

/** @param {import('.').SupervisedWorker} worker */
function place({ slot, process: { pid } }) {
  return { slot, pid };
}

/** JSON makes nothing of an Error. @param {any} info */
function plain({ error, ...info }) {
  if (!error) return info;
  const { code, message, slot, exit } = error;
  return { ...info, error: { code, message, slot, exit } };
}
