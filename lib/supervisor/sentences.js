'use strict';

/** The supervisor's events as sentences for people. */

const { duration, size } = require('./units');

module.exports = { sentence };

/** @typedef {import('./events').Event} Event */
/** @typedef {{ level: 'info' | 'warning' | 'error', text: string }} Sentence */

/** Why a worker goes, after «it is told to go». @type {Record<string, string>} */
const REASONS = {
  reload: 'reload',
  scale: 'fewer workers are wanted',
  stop: 'the app stops',
  memory: 'its memory',
  age: 'its age',
  connections: 'its number of connections',
  hang: 'it hangs',
  'not-ready': 'it did not become ready',
  self: 'it asked to go',
  disconnect: 'somebody disconnected it',
};

/** @type {Record<string, (event: any) => string | undefined>} */
const INFO = {
  // The others are announced by what they replace, and in any case by being ready.
  start: () => undefined,
  ready: (event) => `${worker(event)} is ready after ${duration(event.ms)}`,
  running: ({ workers, ms }) =>
    workers > 0 ? `running: ${count(workers)} ready after ${duration(ms)}` : undefined,
  drain: (event) => `${worker(event)} lets its requests end: ${REASONS[event.reason]}`,
  recycle: (event) => `${worker(event)} is replaced: ${limitText(event)}`,
  leader: (event) => `${worker(event)} is the leader`,
  scale: ({ from, to }) => `scaling from ${from} to ${count(to)}`,
  reload: ({ generation }) => `reload: replacing all workers (generation ${generation})`,
  reloaded: ({ workers, ms }) => `reloaded: ${count(workers)} replaced in ${duration(ms)}`,
  signal: ({ signal, action }) => `${signal}: ${SIGNAL_ACTIONS[action]}`,
  stop: ({ signal }) => (signal ? undefined : 'stopping: requests in flight may end'),
  stopped: ({ code }) => (code === 0 ? 'stopped' : `stopped, exit code ${code}`),
};

/** @type {Record<string, string>} */
const SIGNAL_ACTIONS = {
  stop: 'stopping; once more to stop at once',
  'stop-now': 'stopping at once',
  reload: 'reloading',
};

/** @type {Record<string, string>} */
const NOT_READY = {
  listening: 'does not listen',
  ready: "has not said process.send('ready')",
  online: 'does not run',
};

/** Crashes of workers that were made to end: they are told before that. @type {Record<string, string>} */
const CRASHES = { 'not-ready': 'not ready in time', hang: 'hung' };

/** @type {Record<string, (event: any) => string>} */
const WARNINGS = {
  notReady: ({ readyOn, timeout, ...event }) => {
    const hint =
      readyOn === 'listening' ? " (an app that never listens needs readyOn 'online')" : '';
    return `${worker(event)} ${NOT_READY[readyOn]} after ${duration(timeout)}; it is replaced${hint}`;
  },
  backoff: ({ slot, delay, crashes }) =>
    `worker ${slot} starts again in ${duration(delay)}${
      crashes > 1 ? ` (${crashes} crashes in a row)` : ''
    }`,
  hang: (event) =>
    `${worker(event)} hangs: its event loop has not turned for ${duration(event.ms)}; ` +
    `it is replaced${event.stack ? `\n${indent(event.stack)}` : ''}`,
};

/** @type {Record<string, (event: any) => string>} */
const ERRORS = {
  crashLoop: ({ slot, crashes, left }) =>
    `worker ${slot} is given up after ${crashText(crashes)}; ` +
    `${left === 0 ? 'none is left' : `${count(left)} left`}${lastWords(crashes.at(-1))}`,
  reloadFailed: ({ error }) =>
    `reload given up: ${error.message}${whoServes(error)}${lastWords(error.exit)}`,
};

/** After a reload that was given up; nobody, if the app has been stopped meanwhile. */
function whoServes(/** @type {{ code?: string }} */ { code }) {
  return code === 'ERR_SUPERVISOR_STOPPED' ? '' : '; the old workers serve on';
}

/** @param {Event} event @returns {Sentence | undefined} undefined for what nobody has to know */
function sentence(event) {
  const { event: name } = event;
  if (name === 'exit') return exitSentence(event);
  if (name in ERRORS) return { level: 'error', text: ERRORS[name](event) };
  if (name === 'kill') return killSentence(event);
  if (name in WARNINGS) return { level: 'warning', text: WARNINGS[name](event) };
  // A newer app may know more events than an older command that asks it.
  const text = INFO[name]?.(event);
  return text === undefined ? undefined : { level: 'info', text };
}

/** @param {any} event @returns {Sentence} */
function exitSentence(event) {
  const { expected, reason, uptime } = event;
  const text = `${worker(event)} ended`;
  if (expected || reason in CRASHES) return { level: 'info', text: `${text} (${how(event)})` };
  return { level: 'error', text: `${text} unexpectedly after ${duration(uptime)}: ${how(event)}` };
}

/** @param {any} event @returns {Sentence} */
function killSentence(event) {
  const { signal, reason, drained } = event;
  const who = worker(event);
  // Usual for an app that has a connection to a database, or a timer.
  if (drained)
    return { level: 'info', text: `${who} has ended all connections: it gets ${signal}` };
  return { level: 'warning', text: `${who} gets ${signal}: ${REASONS[reason]}` };
}

/** @param {{ slot: number, pid: number }} event */
function worker({ slot, pid }) {
  return `worker ${slot} (pid ${pid})`;
}

/** @param {number} workers */
function count(workers) {
  return workers === 1 ? '1 worker' : `${workers} workers`;
}

/** @param {{ code: number | null, signal: string | null }} exit */
function how({ code, signal }) {
  return signal ?? `exit code ${code}`;
}

/** @param {{ reason: string, value: number, limit: number }} event */
function limitText({ reason, value, limit }) {
  switch (reason) {
    case 'memory':
      return `it uses ${size(value)} of memory, the limit is ${size(limit)}`;
    case 'age':
      return `it is ${duration(value)} old, the limit is ${duration(limit)}`;
    default:
      return `it has had ${value} connections, the limit is ${limit}`;
  }
}

/** @param {{ code: number | null, signal: string | null, reason?: string }[]} crashes */
function crashText(crashes) {
  const ends = crashes.map((crash) => CRASHES[crash.reason ?? ''] ?? how(crash));
  if (ends.length === 1) return `a crash: ${ends[0]}`;
  const counts = new Map();
  for (const end of ends) counts.set(end, (counts.get(end) ?? 0) + 1);
  const tally = Array.from(counts, ([what, times]) => `${what} (${times}×)`).join(', ');
  return `${crashes.length} crashes in a row: ${tally}`;
}

/** @param {{ stderr?: string[] } | undefined} exit */
function lastWords(exit) {
  if (!exit?.stderr?.length) return '';
  return `\nthe last it wrote to stderr:\n${indent(exit.stderr.join('\n'))}`;
}

/** @param {string} text */
function indent(text) {
  return text.replace(/^(?=.)/gm, '  ');
}
