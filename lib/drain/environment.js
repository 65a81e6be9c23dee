'use strict';

/** How a new worker is told to load this: it is `--require`d, and finds its settings in a variable. */

const path = require('path');

module.exports = { drainArguments, takeConfiguration };

const PRELOAD = path.join(__dirname, 'preload.js');
const VARIABLE = 'RUST_CLUSTER_DRAIN';

/**
 * @typedef {object} Configuration
 * @property {number} [keepAliveGrace] see `SupervisorOptions`
 * @property {boolean} [closeWebSockets]
 * @property {number} [killTimeout] only to be told to the app
 * @property {Supervised} [supervised] absent in a worker that only drains
 */

/**
 * @typedef {object} Supervised
 * @property {number} slot
 * @property {number} maxConnections after which this worker asks to be replaced; 0: never
 * @property {boolean} inspectable the supervisor may ask for a stack
 * @property {import('../supervisor/listen-fds').Inherited[]} inherited sockets of the primary
 */

/**
 * What `fork` needs for a worker that drains: `execArgv` to put before the others, and `env`.
 * @param {Configuration} configuration
 */
function drainArguments(configuration) {
  return {
    execArgv: ['--require', PRELOAD],
    env: { [VARIABLE]: JSON.stringify(configuration) },
  };
}

/**
 * In the worker. Neither its code nor the processes that it starts see a trace.
 * @returns {Configuration | undefined}
 */
function takeConfiguration() {
  const index = process.execArgv.indexOf(PRELOAD);
  if (index > 0) process.execArgv.splice(index - 1, 2);
  const text = process.env[VARIABLE];
  if (text === undefined) return undefined;
  delete process.env[VARIABLE];
  return JSON.parse(text);
}
