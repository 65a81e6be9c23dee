'use strict';

/**
 * Signals that reach a supervised worker. A terminal and a service manager send them to all
 * processes of a group, the primary included, which then decides: the worker must not die of them,
 * nor go before it is told to. One that is sent to this worker alone means that it should go.
 */

module.exports = { watchSignals };

const GO = /** @type {const} */ (['SIGTERM', 'SIGINT']);
/** These make the primary reload. */
const IGNORED = /** @type {const} */ (['SIGHUP', 'SIGUSR2']);

/** @param {() => void} onGo */
function watchSignals(onGo) {
  const onSignal = (/** @type {NodeJS.Signals} */ signal) => {
    // An app that handles it knows what it does.
    if (process.listenerCount(signal) > 1) return;
    onGo();
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
    /** The supervisor is done waiting. Its own SIGTERM may be lost, if it came before this. */
    giveUp() {
      stop();
      if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM');
    },
  };
}
