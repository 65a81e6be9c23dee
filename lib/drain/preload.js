'use strict';

/** `--require`d into workers that drain, before user code and after the cluster's own preload. */

const { isMainThread } = require('worker_threads');

const { takeConfiguration } = require('./environment');

// A worker_threads thread of a worker runs this, too; it has no servers of the cluster's.
if (isMainThread) {
  const configuration = takeConfiguration();
  if (configuration) require('./index').start(configuration);
}
