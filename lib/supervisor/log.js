'use strict';

/** The supervisor's events as lines for people. */

module.exports = { describeEvent, logEvents };

/** Those that somebody should know, without having asked. */
const LOGGED = /** @type {const} */ ([
  'notReady',
  'kill',
  'exit',
  'backoff',
  'crashLoop',
  'hang',
  'reloadFailed',
]);

/**
 * @param {import('.').Supervisor} supervisor
 * @param {boolean | ((line: string) => void)} log
 */
function logEvents(supervisor, log) {
  if (log === false) return;
  const write =
    log === true ? (/** @type {string} */ line) => process.stderr.write(`${line}\n`) : log;
  for (const event of LOGGED) {
    supervisor.on(event, (/** @type {any[]} */ ...args) => {
      if (isNoNews(event, args[1])) return;
      write(`[rust-cluster] ${describeEvent(event, .../** @type {[any, any]} */ (args))}`);
    });
  }
}

/** One that was told to go and went, or that went as most do. */
function isNoNews(/** @type {string} */ event, /** @type {any} */ info) {
  return event === 'exit' ? info.expected : event === 'kill' && info.drained;
}

/** @type {{ [E in keyof import('.').SupervisorEventMap]:
 *   (...args: import('.').SupervisorEventMap[E]) => string }} */
const DESCRIPTIONS = {
  start: (worker, { reason }) =>
    `${nameOf(worker)} started${reason === 'start' ? '' : ` (${reason})`}`,
  ready: (worker, { ms }) => `${nameOf(worker)} ready after ${timeOf(ms)}`,
  running: ({ workers, ms }) => `all ${countOf(workers, 'worker')} ready after ${timeOf(ms)}`,
  notReady: (worker, { timeout }) => `${nameOf(worker)} was not ready within ${timeOf(timeout)}`,
  drain: (worker, { reason }) => `${nameOf(worker)} goes (${reason})`,
  kill: (worker, { signal, reason }) => `${nameOf(worker)} gets ${signal} (${reason})`,
  exit: (worker, exit) =>
    exit.expected
      ? `${nameOf(worker)} ended`
      : `${nameOf(worker)} ended with ${endOf(exit)} after ${timeOf(exit.uptime)}`,
  backoff: ({ slot, delay, crashes }) =>
    `slot ${slot} starts again in ${timeOf(delay)}${crashes > 1 ? ` (${crashes} crashes in a row)` : ''}`,
  crashLoop: ({ slot, crashes, left }) =>
    [
      `slot ${slot} is given up after ${countOf(crashes.length, 'crash', 'crashes')} in a row; ` +
        `${countOf(left, 'other slot')} ${left === 1 ? 'runs' : 'run'} on`,
      ...crashes.map((crash) => `  ended with ${endOf(crash)} after ${timeOf(crash.uptime)}`),
      ...lastWords(crashes.at(-1)?.stderr ?? []),
    ].join('\n'),
  hang: (worker, { ms, stack }) =>
    [
      `${nameOf(worker)} hangs: its event loop has not turned for ${timeOf(ms)}`,
      ...(stack === undefined ? [] : ['  it is in:', stack]),
    ].join('\n'),
  recycle: (worker, { reason, value, limit }) =>
    `${nameOf(worker)} is replaced: ${reason} ${quantityOf(reason, value)}, ` +
    `limit ${quantityOf(reason, limit)}`,
  leader: (worker) => `${nameOf(worker)} is the leader`,
  scale: ({ from, to }) => `scaling from ${from} to ${countOf(to, 'worker')}`,
  reload: ({ generation }) => `reload ${generation} begins`,
  reloaded: ({ generation, workers, ms }) =>
    `reload ${generation} done: ${countOf(workers, 'worker')} in ${timeOf(ms)}`,
  reloadFailed: ({ generation, error }) =>
    [
      `reload ${generation} failed: ${error.message}; the old workers serve on`,
      ...lastWords(error.exit?.stderr ?? []),
    ].join('\n'),
  signal: ({ signal, action }) => `${signal}: ${action}`,
  stop: ({ signal }) => `stopping${signal ? ` (${signal})` : ''}`,
  stopped: ({ code }) => `stopped, exit code ${code}`,
};

/**
 * @param {keyof import('.').SupervisorEventMap} event
 * @param {any[]} args
 */
function describeEvent(event, ...args) {
  const describe = /** @type {((...args: any[]) => string) | undefined} */ (DESCRIPTIONS[event]);
  return describe ? describe(...args) : '';
}

function nameOf(/** @type {import('.').SupervisedWorker} */ { slot, process }) {
  return `worker ${slot} (pid ${process.pid})`;
}

/** @param {{ code: number | null, signal: string | null }} exit */
function endOf({ code, signal }) {
  return signal ? `signal ${signal}` : `code ${code}`;
}

function timeOf(/** @type {number} */ ms) {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}

/** @param {number} count @param {string} one @param {string} [many] */
function countOf(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** @param {'memory' | 'age' | 'connections'} reason @param {number} value */
function quantityOf(reason, value) {
  if (reason === 'memory') return `${Math.round(value / 1024 ** 2)} MiB`;
  return reason === 'age' ? timeOf(value) : `${value}`;
}

function lastWords(/** @type {string[]} */ lines) {
  if (lines.length === 0) return [];
  return ['  last lines of stderr:', ...lines.map((line) => `  | ${line}`)];
}
