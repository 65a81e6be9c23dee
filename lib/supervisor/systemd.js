'use strict';

/**
 * Tells the service manager how things stand, by the datagrams of `sd_notify`.
 * https://www.freedesktop.org/software/systemd/man/sd_notify.html
 */

const { WARNING } = require('./errors');

module.exports = { tellSystemd };

/**
 * @param {import('.').Supervisor} supervisor
 * @param {(path: string, text: string) => void} [send] for tests
 * @returns {() => void} ends it
 */
function tellSystemd(supervisor, send = loadSend()) {
  const { NOTIFY_SOCKET: path, WATCHDOG_PID, WATCHDOG_USEC } = process.env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_PID', 'WATCHDOG_USEC']) delete process.env[name];
  if (!path) return () => {};
  if (!send) {
    process.emitWarning(
      'without the native core systemd cannot be notified: use Type=exec, without WatchdogSec',
      WARNING,
    );
    return () => {};
  }
  const notify = (/** @type {string[]} */ ...lines) => {
    try {
      send(path, lines.join('\n'));
    } catch {
      // The service manager may be restarting itself; the service goes on without it.
    }
  };
  follow(supervisor, notify);
  const isWatched = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
  const interval = isWatched ? Number(WATCHDOG_USEC) / 1000 / 2 : NaN;
  if (!(interval > 0)) return () => {};
  // It shows that this loop turns; workers are watched by the supervisor itself.
  const timer = setInterval(() => notify('WATCHDOG=1'), interval).unref();
  return () => clearInterval(timer);
}

/**
 * @param {import('.').Supervisor} supervisor
 * @param {(...lines: string[]) => void} notify
 */
function follow(supervisor, notify) {
  const status = () => {
    const { ready, wanted } = supervisor.status();
    return `STATUS=${ready} of ${wanted} workers ready`;
  };
  const showStatus = () => {
    if (supervisor.state === 'running') notify(status());
  };
  supervisor.on('running', () => notify('READY=1', status()));
  supervisor.on('ready', showStatus);
  supervisor.on('exit', showStatus);
  supervisor.on('reload', () => {
    const now = process.hrtime.bigint() / 1000n;
    notify('RELOADING=1', `MONOTONIC_USEC=${now}`, 'STATUS=reloading');
  });
  supervisor.on('reloaded', () => notify('READY=1', status()));
  supervisor.on('reloadFailed', ({ error }) => {
    notify('READY=1', `STATUS=reload failed: ${error.message.split('\n')[0]}`);
  });
  supervisor.on('stop', () => notify('STOPPING=1', 'STATUS=stopping'));
}

/** Node has no datagram sockets of the Unix kind. */
function loadSend() {
  try {
    return /** @type {any} */ (require('../../native')).notifySystemd;
  } catch {
    return undefined;
  }
}
