'use strict';

/**
 * Signals that reach a supervised worker. A terminal and a service manager send them to all
 * processes of a group, the primary included, which then decides: the worker must not die of them.
 * One that is sent to this worker alone means that it should go.
 */

module.exports = { watchSignals };

const GO = /** @type {const} */ (['SIGTERM', 'SIGINT']);
/** These make the primary reload. */
const IGNORED = /** @type {const} */ (['SIGHUP', 'SIGUSR2']);

/**
 * @param {() => void} go
 */
function watchSignals(go) {
  let gotTerm = false;
  const onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    // An app that handles it knows what it does.
    if (process.listenerCount(signal) > 1) return;
    if (signal === 'SIGTERM') gotTerm = true;
    go();
  };
  const ignore = () => {};
  for (const signal of GO) process.on(signal, onSignal);
  for (const signal of IGNORED) process.on(signal, ignore);

  /** From now on SIGTERM and SIGINT do what they do in any process. */
  function stop() {
    for (const signal of GO) process.removeListener(signal, onSignal);
  }

  return {
    stop,
    /** The supervisor is done waiting, and its SIGTERM may have come before this. */
    giveUp() {
      stop();
      const isOurs = process.listenerCount('SIGTERM') === 0;
      if (gotTerm && isOurs) process.kill(process.pid, 'SIGTERM');
    },
  };
}
