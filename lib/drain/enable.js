'use strict';

/**
 * `rust-cluster/drain`: makes a worker drain on a plain `worker.disconnect()`, without a supervisor.
 * Loaded by the worker itself before it listens, or for it by the primary:
 * `cluster.setupPrimary({ execArgv: ['--require', 'rust-cluster/drain'] })`. Does nothing elsewhere.
 */

const cluster = require('cluster');
const { isMainThread } = require('worker_threads');

const { start } = require('./index');

if (isMainThread && cluster.isWorker) start({});
