'use strict';

/** The signals of the primary, as service managers, containers and terminals send them. */

module.exports = { obeySignals, untilHeard };

const STOP = /** @type {const} */ (['SIGTERM', 'SIGINT']);
const RELOAD = /** @type {const} */ (['SIGHUP', 'SIGUSR2']);
const NUMBERS = { SIGTERM: 15, SIGINT: 2 };

/** In milliseconds: between processes of one group there are some microseconds, on a busy machine more. */
const HEARD_AFTER = 100;

/**
 * In milliseconds: whoever means it twice takes longer. But `timeout`, and some that run scripts, send
 * a signal to a process and to its group, which is to be drained and not killed.
 */
const TWICE_AFTER = 250;

/**
 * From now on: with a signal's default action back, one that comes late would be what ends the process.
 *
 * @param {InstanceType<typeof import('./supervisor').Supervisor>} supervisor
 * @param {(code: number) => void} exitWith what the process shall exit with in the end
 */
function obeySignals(supervisor, exitWith) {
  let askedAt = -Infinity;
  const stop = (/** @type {NodeJS.Signals} */ signal) => {
    if (supervisor.state === 'stopped') return;
    const now = supervisor.state === 'stopping';
    if (now && performance.now() - askedAt < TWICE_AFTER) return;
    askedAt = performance.now();
    supervisor.emit('signal', { signal, action: now ? 'stop-now' : 'stop' });
    if (now) exitWith(exitCodeOf(signal));
    // A load balancer has to be waited for; whoever presses Ctrl-C has none.
    const delay = signal === 'SIGTERM' ? supervisor.options.drainDelay : 0;
    supervisor.stop({ now, delay, signal });
  };
  const reload = (/** @type {NodeJS.Signals} */ signal) => {
    if (supervisor.state === 'stopped') return;
    supervisor.emit('signal', { signal, action: 'reload' });
    // Its failure is an event as well.
    supervisor.reload().catch(() => {});
  };
  for (const signal of STOP) process.on(signal, stop);
  for (const signal of RELOAD) process.on(signal, reload);
}

/**
 * A worker may have heard of a signal to the whole group, or have died of it, before this process
 * hears of it: by now it has, or the signal was for that worker alone.
 * @returns {Promise<void>}
 */
function untilHeard() {
  return new Promise((resolve) => setTimeout(resolve, HEARD_AFTER));
}

/** What a shell would give for a process that the signal has ended. */
function exitCodeOf(/** @type {NodeJS.Signals} */ signal) {
  return 128 + NUMBERS[/** @type {'SIGTERM' | 'SIGINT'} */ (signal)];
}
