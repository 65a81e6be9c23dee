'use strict';

/**
 * The environment variables through which a primary tells a new process that it is a worker.
 * `preload.js` has their names, too.
 */
module.exports = {
  /** The number of the inherited descriptor of the channel. The preload removes it. */
  CHANNEL_VARIABLE: 'RUST_CLUSTER_CHANNEL_FD',
  /** The file of the native addon, so that a worker need not look for it. The preload removes it. */
  ADDON_VARIABLE: 'RUST_CLUSTER_ADDON',
  /** The worker's id. The preload removes it. */
  ID_VARIABLE: 'RUST_CLUSTER_WORKER_ID',
  /**
   * Makes Node's `cluster` a worker's when it is loaded: the preload sets it for that moment. A new
   * process has it only where something else may load the module first, because Node's bootstrap
   * puts listeners on `process` then that fight ours.
   */
  BUILTIN_VARIABLE: 'NODE_UNIQUE_ID',

  optionsPrefix,
};

/**
 * Node preloads what NODE_OPTIONS names before what the command line names, so where there are such
 * options, ours has to be in front of them.
 * @param {string} file
 */
function optionsPrefix(file) {
  return `--require ${JSON.stringify(file)} `;
}
