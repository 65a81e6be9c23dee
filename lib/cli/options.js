'use strict';

/**
 * Every option of `rust-cluster start`, once: the flags, the keys of the config file, the JSON
 * schema and the check of the reference in docs/command.md are made from this table.
 */

const { APP, OUTPUT } = require('./own-options');

/**
 * @typedef {object} CliOption
 * @property {string} key in the config file
 * @property {string} [flags] as commander reads them; none if it stands in the config file only
 * @property {string} kind of its values: see kinds.js
 * @property {string} summary
 * @property {string} [flagSummary] where the flag says something else: --no-…
 * @property {string} group the headline in the help
 * @property {unknown} [byDefault]
 * @property {string} [shownDefault] where the default is no constant
 * @property {string} [goesTo] whose option it is, under the same name: 'supervisor' (that of
 *   `cluster.supervise()`) or 'cluster' (that of `cluster.setupPrimary()`)
 * @property {boolean} [isPath] in a config file, from the directory of that file
 * @property {boolean} [flagOnly] has no place in a config file
 */

/** @type {CliOption[]} */
const WORKERS = [
  {
    key: 'workers',
    flags: '-i, --workers <count>',
    kind: 'workers',
    summary: "how many: 'auto' for one on each CPU, or a number; negative: all CPUs but so many",
    byDefault: 'auto',
  },
  {
    key: 'readyOn',
    flags: '--ready-on <event>',
    kind: 'readyOn',
    summary:
      "when a worker is ready: 'listening', 'ready' (it says process.send('ready')) or 'online'",
    byDefault: 'listening',
  },
  {
    key: 'waitReady',
    flags: '--wait-ready',
    kind: 'flag',
    summary: 'short for --ready-on ready',
    byDefault: false,
  },
  {
    key: 'listenTimeout',
    flags: '--listen-timeout <time>',
    kind: 'duration',
    summary: 'how long a worker may take to become ready; 0: no limit',
    byDefault: 30_000,
  },
  {
    key: 'slotVariable',
    flags: '--slot-variable <name>',
    kind: 'variable',
    summary: 'the environment variable that has the number of the slot',
    byDefault: 'NODE_APP_INSTANCE',
  },
].map((option) => ({ ...option, group: 'Workers:', goesTo: 'supervisor' }));

/** @type {CliOption[]} */
const CRASHES = [
  {
    key: 'backoffMin',
    flags: '--backoff-min <time>',
    kind: 'duration',
    summary: 'the wait before the first restart; it doubles with each crash in a row',
    byDefault: 100,
  },
  {
    key: 'backoffMax',
    flags: '--backoff-max <time>',
    kind: 'duration',
    summary: 'the longest wait between restarts',
    byDefault: 30_000,
  },
  {
    key: 'minUptime',
    flags: '--min-uptime <time>',
    kind: 'duration',
    summary: 'who was ready for so long has not crashed «in a row»',
    byDefault: 10_000,
  },
  {
    key: 'maxCrashes',
    flags: '--max-crashes <count>',
    kind: 'crashes',
    summary: "after so many crashes in a row a slot is given up, or 'never'",
    byDefault: 8,
  },
].map((option) => ({ ...option, group: 'Crashes:', goesTo: 'supervisor' }));

/** @type {CliOption[]} */
const ENDING = [
  {
    key: 'killTimeout',
    flags: '--kill-timeout <time>',
    kind: 'duration',
    summary: 'how long requests in flight may take when a worker goes; then SIGTERM',
    byDefault: 10_000,
  },
  {
    key: 'killDelay',
    flags: '--kill-delay <time>',
    kind: 'duration',
    summary: 'how long after that SIGTERM comes SIGKILL',
    byDefault: 2000,
  },
  {
    key: 'exitTimeout',
    flags: '--exit-timeout <time>',
    kind: 'duration',
    summary: 'when a worker without connections that does not end gets SIGTERM',
    byDefault: 1000,
  },
  {
    key: 'keepAliveGrace',
    flags: '--keep-alive-grace <time>',
    kind: 'duration',
    summary: 'how long a keep-alive connection must be idle to be closed at once',
    byDefault: 500,
  },
  {
    key: 'closeWebSockets',
    flags: '--no-close-web-sockets',
    kind: 'flag',
    summary: 'send a close frame to WebSockets that the app does not end itself',
    flagSummary: 'do not send a close frame to WebSockets that the app does not end itself',
    byDefault: true,
  },
  {
    key: 'drainDelay',
    flags: '--drain-delay <time>',
    kind: 'duration',
    summary: 'after SIGTERM, how long to serve on before the workers are told to go',
    byDefault: 0,
  },
  {
    key: 'parallel',
    flags: '--parallel <count>',
    kind: 'positive',
    summary: 'how many workers a reload replaces at a time',
    byDefault: 1,
  },
].map((option) => ({ ...option, group: 'Ending and reloading:', goesTo: 'supervisor' }));

/** @type {CliOption[]} */
const LIMITS = [
  {
    key: 'hangTimeout',
    flags: '--hang-timeout <time>',
    kind: 'duration',
    summary: 'replace a worker whose event loop has not turned for so long; 0: off',
    byDefault: 0,
  },
  {
    key: 'hangStack',
    flags: '--no-hang-stack',
    kind: 'flag',
    summary: 'ask a hung worker for its JavaScript stack before it is replaced',
    flagSummary: 'do not ask a hung worker for its JavaScript stack',
    byDefault: true,
  },
  {
    key: 'maxMemory',
    flags: '--max-memory <size>',
    kind: 'size',
    summary: 'replace a worker above this resident memory; 0: off',
    byDefault: 0,
  },
  {
    key: 'maxAge',
    flags: '--max-age <time>',
    kind: 'duration',
    summary: 'replace a worker after this time; 0: off',
    byDefault: 0,
  },
  {
    key: 'maxConnections',
    flags: '--max-connections <count>',
    kind: 'count',
    summary: 'replace a worker after so many connections; 0: off',
    byDefault: 0,
  },
  {
    key: 'jitter',
    flags: '--jitter <share>',
    kind: 'fraction',
    summary: 'the share by which these limits differ between workers',
    byDefault: 0.1,
  },
  {
    key: 'checkInterval',
    flags: '--check-interval <time>',
    kind: 'duration',
    summary: 'how often memory and age are looked at',
    byDefault: 5000,
  },
].map((option) => ({ ...option, group: 'Hung workers and recycling:', goesTo: 'supervisor' }));

/** @type {CliOption[]} */
const CONNECTIONS = [
  {
    key: 'scheduling',
    flags: '--scheduling <policy>',
    kind: 'scheduling',
    summary: "who gets a connection: 'rr' (round robin), 'least-connections', 'ip-hash' or 'none'",
    byDefault: 'rr',
  },
  {
    key: 'handoffTimeout',
    flags: '--handoff-timeout <time>',
    kind: 'duration',
    summary: 'how long a connection waits for a worker before another gets it',
    byDefault: 5,
  },
  {
    key: 'listenerLinger',
    flags: '--listener-linger <time>',
    kind: 'duration',
    summary: 'how long a port stays open after the crash of its last worker',
    byDefault: 5000,
  },
].map((option) => ({ ...option, group: 'Connections:', goesTo: 'cluster' }));

const OPTIONS = [...APP, ...WORKERS, ...CRASHES, ...ENDING, ...LIMITS, ...CONNECTIONS, ...OUTPUT];

module.exports = { OPTIONS };
