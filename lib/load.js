'use strict';

/**
 * The builtin's cluster object with our balancer and channel in it, or, where the native core
 * cannot be loaded, the builtin as it is.
 */

const cluster = require('cluster');

module.exports = load();

function load() {
  // A worker of the builtin's (another program has forked it) and a thread keep the builtin.
  const { isMainThread } = require('worker_threads');
  const addon = cluster.isPrimary && isMainThread ? loadAddon() : undefined;
  if (addon) return require('./primary').adopt();
  if (cluster.isPrimary && isMainThread) {
    // It needs no more than what the builtin has.
    Object.assign(cluster, {
      supervise: (/** @type {any} */ options) =>
        require('./supervisor').supervise(cluster, options),
    });
  }
  return Object.assign(cluster, { native: false });
}

/** An app must not die of the swapped import: without the addon it runs on the builtin. */
function loadAddon() {
  try {
    return require('./addon').addon;
  } catch (error) {
    process.emitWarning(
      `falling back to node:cluster, because the native core for ${process.platform}-${process.arch} ` +
        `could not be loaded: ${reasonOf(error)}`,
      { code: 'RUST_CLUSTER_FALLBACK', type: 'RustClusterWarning' },
    );
    return undefined;
  }
}

/**
 * The loader tries several places and chains its errors; most say only that nothing was there.
 * @param {any} error
 */
function reasonOf(error) {
  for (let cause = error?.cause; cause; cause = cause.cause) {
    const [line] = String(cause.message).split('\n');
    if (!line.startsWith('Cannot find module')) return line;
  }
  return 'there is no binary for this platform';
}
