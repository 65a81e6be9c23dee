'use strict';

/** The supervisor's options: defaults, and errors that name the option and what is allowed. */

const { error } = require('./errors');

module.exports = { checkCount, resolveOptions };

const PASSED_ON = ['exec', 'args', 'execArgv', 'cwd', 'env', 'silent'];

const DEFAULTS = {
  workers: /** @type {import('.').WorkerCount} */ ('auto'),
  captureStderr: true,
  slotVariable: /** @type {string | null} */ ('NODE_APP_INSTANCE'),
  readyOn: /** @type {'listening' | 'ready' | 'online'} */ ('listening'),
  listenTimeout: 30_000,
  backoffMin: 100,
  backoffMax: 30_000,
  minUptime: 10_000,
  maxCrashes: 8,
  killTimeout: 10_000,
  killDelay: 2000,
  exitTimeout: 1000,
  keepAliveGrace: 500,
  closeWebSockets: true,
  drainDelay: 0,
  parallel: 1,
  hangTimeout: 0,
  hangStack: true,
  maxMemory: /** @type {import('.').Bytes} */ (0),
  maxAge: 0,
  maxConnections: 0,
  jitter: 0.1,
  checkInterval: 5000,
  random: Math.random,
  signals: true,
  systemd: true,
  log: /** @type {boolean | ((line: string) => void)} */ (true),
};

const MAX_TIMER = 2 ** 31 - 1;

/** @typedef {[allowed: string, isAllowed: (value: any) => boolean]} Rule */

/** @type {Rule} */
const TIME = ['a number of milliseconds, 0 or more', (value) => isBetween(value, 0, MAX_TIMER)];
/** @type {Rule} */
const INTERVAL = ['a number of milliseconds, 1 or more', (value) => isBetween(value, 1, MAX_TIMER)];
/** @type {Rule} */
const SWITCH = ['true or false', (value) => typeof value === 'boolean'];

/** @type {Record<string, Rule>} */
const RULES = {
  workers: ["'auto' or a whole number", isCount],
  captureStderr: SWITCH,
  slotVariable: [
    'the name of an environment variable, or null',
    (value) => value === null || (typeof value === 'string' && /^[^=\0]+$/.test(value)),
  ],
  readyOn: [
    "'listening', 'ready' or 'online'",
    (value) => ['listening', 'ready', 'online'].includes(value),
  ],
  listenTimeout: TIME,
  backoffMin: TIME,
  backoffMax: TIME,
  minUptime: TIME,
  maxCrashes: [
    'a whole number, 1 or more, or Infinity',
    (value) => value === Infinity || (Number.isInteger(value) && value >= 1),
  ],
  killTimeout: TIME,
  killDelay: TIME,
  exitTimeout: TIME,
  keepAliveGrace: TIME,
  closeWebSockets: SWITCH,
  drainDelay: TIME,
  parallel: ['a whole number, 1 or more', (value) => Number.isInteger(value) && value >= 1],
  hangTimeout: TIME,
  hangStack: SWITCH,
  maxMemory: ["a number of bytes, or a text like '300M'", (value) => bytesOf(value) !== undefined],
  maxAge: TIME,
  maxConnections: ['a whole number, 0 or more', (value) => Number.isInteger(value) && value >= 0],
  jitter: ['a number from 0 to 1', (value) => isBetween(value, 0, 1)],
  checkInterval: INTERVAL,
  random: ['a function', (value) => typeof value === 'function'],
  signals: SWITCH,
  systemd: SWITCH,
  log: ['true, false or a function', (value) => ['boolean', 'function'].includes(typeof value)],
};

/**
 * @param {import('.').SupervisorOptions} [given]
 * @returns {import('.').ResolvedOptions}
 */
function resolveOptions(given = {}) {
  if (given === null || typeof given !== 'object') {
    throw error('ERR_INVALID_ARG_VALUE', `The options must be an object; received ${given}`);
  }
  const { waitReady, ...rest } = /** @type {any} */ (given);
  const known = Object.entries(rest).filter(([, value]) => value !== undefined);
  for (const [name] of known) {
    if (name in DEFAULTS || PASSED_ON.includes(name)) continue;
    throw error('ERR_INVALID_ARG_VALUE', `There is no option '${name}'`);
  }
  const options = { ...DEFAULTS, ...Object.fromEntries(known) };
  if (waitReady !== undefined) {
    check('waitReady', waitReady, SWITCH);
    if (waitReady) options.readyOn = 'ready';
  }
  for (const [name, rule] of Object.entries(RULES)) {
    check(name, /** @type {any} */ (options)[name], rule);
  }
  return { ...options, maxMemory: /** @type {number} */ (bytesOf(options.maxMemory)) };
}

/** @param {import('.').WorkerCount} workers */
function checkCount(workers) {
  check('workers', workers, RULES.workers);
}

/** @param {string} name @param {unknown} value @param {Rule} rule */
function check(name, value, [allowed, isAllowed]) {
  if (isAllowed(value)) return;
  const shown = typeof value === 'string' ? `'${value}'` : String(value);
  throw error('ERR_INVALID_ARG_VALUE', `'${name}' must be ${allowed}; received ${shown}`);
}

function isCount(/** @type {unknown} */ value) {
  return value === 'auto' || Number.isSafeInteger(value);
}

/** @param {unknown} value @param {number} min @param {number} max */
function isBetween(value, min, max) {
  return typeof value === 'number' && value >= min && value <= max;
}

const UNITS = ['', 'K', 'M', 'G', 'T'];

/** @param {unknown} value */
function bytesOf(value) {
  if (typeof value === 'number') return value >= 0 && value < Infinity ? value : undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?$/i.exec(String(value));
  if (!match) return undefined;
  return Math.round(Number(match[1]) * 1024 ** UNITS.indexOf(match[2].toUpperCase()));
}
