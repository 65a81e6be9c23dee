'use strict';

/** What happens to the app, as plain data: for the printer, and for who asks over the socket. */

const supervision = require('../supervisor/events');

module.exports = { follow };

/**
 * An event; which other properties there are, depends on its name. `docs/command.md` has them all.
 * @typedef {import('../supervisor/events').Event} Event
 */

/**
 * @param {import('cluster').Cluster} cluster
 * @param {import('../supervisor').Supervisor} supervisor
 * @param {(event: Event) => void} onEvent
 */
function follow(cluster, supervisor, onEvent) {
  supervision.follow(supervisor, onEvent);
  cluster.on('listening', (worker, address) => {
    const supervised = /** @type {import('../supervisor').SupervisedWorker} */ (worker);
    onEvent({ event: 'listening', ...supervision.place(supervised), ...address });
  });
}
