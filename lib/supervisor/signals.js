'use strict';

/** The signals of the primary, as service managers, containers and terminals send them. */

module.exports = { exitCodeOf, watchSignals };

const STOP = /** @type {const} */ (['SIGTERM', 'SIGINT']);
const RELOAD = /** @type {const} */ (['SIGHUP', 'SIGUSR2']);
const NUMBERS = { SIGTERM: 15, SIGINT: 2 };

/**
 * @param {{ stop: (signal: NodeJS.Signals) => void, reload: (signal: NodeJS.Signals) => void }} on
 * @returns {() => void} stops watching
 */
function watchSignals({ stop, reload }) {
  for (const signal of STOP) process.on(signal, stop);
  for (const signal of RELOAD) process.on(signal, reload);
  return () => {
    for (const signal of STOP) process.removeListener(signal, stop);
    for (const signal of RELOAD) process.removeListener(signal, reload);
  };
}

/** What a shell would give for a process that the signal has ended. */
function exitCodeOf(/** @type {NodeJS.Signals} */ signal) {
  return 128 + NUMBERS[/** @type {'SIGTERM' | 'SIGINT'} */ (signal)];
}
