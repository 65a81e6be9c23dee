'use strict';

/** `cluster.supervise()`. On top of the public API of the cluster; nothing of that imports this. */

const { availableCpus } = require('./cpus');
const { error } = require('./errors');
const { resolveOptions } = require('./options');
const { Supervisor } = require('./supervisor');

module.exports = { availableCpus: () => availableCpus(), supervise };

/** @type {InstanceType<typeof Supervisor> | undefined} */
let current;

/**
 * @param {any} cluster
 * @param {import('.').SupervisorOptions} [options]
 */
function supervise(cluster, options) {
  if (current && current.state !== 'stopped') {
    throw error('ERR_SUPERVISOR_RUNNING', 'This process has a supervisor already');
  }
  current = new Supervisor(cluster, resolveOptions(options));
  return current;
}
