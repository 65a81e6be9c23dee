'use strict';

/** Starts one worker: with its slot, with the code that makes it drain, and with its stderr read. */

const { drainArguments } = require('../drain/environment');

module.exports = { launch };

/**
 * @typedef {object} Place
 * @property {number} slot
 * @property {number} maxConnections this worker's own limit; 0: none
 * @property {import('./listen-fds').Inherited[]} inherited
 * @property {(text: string) => void} onStderr
 */

/**
 * @param {any} cluster
 * @param {import('.').ResolvedOptions} options
 * @param {Place} place
 * @returns {import('cluster').Worker}
 */
function launch(cluster, options, { slot, maxConnections, inherited, onStderr }) {
  const { closeWebSockets, env, hangStack, hangTimeout, keepAliveGrace, killTimeout } = options;
  const { slotVariable } = options;
  const inspectable = hangStack && hangTimeout > 0;
  const drain = drainArguments({
    closeWebSockets,
    keepAliveGrace,
    killTimeout,
    supervised: { slot, maxConnections, inspectable, inherited },
  });
  const { captured, stdio } = stdioOf(cluster.settings, options);
  const worker = withSettings(
    cluster,
    { execArgv: [...drain.execArgv, ...(cluster.settings.execArgv ?? [])], stdio },
    () =>
      cluster.fork({ ...env, ...(slotVariable && { [slotVariable]: `${slot}` }), ...drain.env }),
  );
  const { stderr } = worker.process;
  stderr?.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
    onStderr(text);
    if (captured) process.stderr.write(text);
  });
  return worker;
}

/**
 * Settings for one fork only. The cluster's own stay as the program has made them.
 * @template T
 * @param {any} cluster
 * @param {Record<string, unknown>} changes
 * @param {() => T} fork
 */
function withSettings(cluster, changes, fork) {
  const original = { ...cluster.settings };
  const changed = Object.entries(changes).filter(([, value]) => value !== undefined);
  Object.assign(cluster.settings, Object.fromEntries(changed));
  try {
    return fork();
  } finally {
    // A fork makes a new object of them.
    for (const [name] of changed) {
      if (name in original) cluster.settings[name] = original[name];
      else delete cluster.settings[name];
    }
  }
}

/**
 * A pipe for stderr, where the program has not decided about it.
 * @param {{ stdio?: unknown, silent?: boolean }} settings
 * @param {import('.').ResolvedOptions} options
 */
function stdioOf({ stdio, silent }, { captureStderr }) {
  const captured = captureStderr && !silent && (stdio === undefined || stdio === null);
  return { captured, stdio: captured ? ['inherit', 'inherit', 'pipe', 'ipc'] : undefined };
}
