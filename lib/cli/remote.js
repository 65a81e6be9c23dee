'use strict';

/** The subcommands that speak to an app that runs: reload, scale, stop, status. */

const { once } = require('events');

const { colours, emphasis, wantsColour } = require('./colour');
const { EXIT, Failure } = require('./failure');
const { loadConfig } = require('./config');
const { ask, find } = require('./control/client');
const { checkName } = require('./control/place');
const { sentence } = require('./sentences');
const { statusText } = require('./status');

module.exports = { reload, scale, status, stop };

/** @typedef {{ name?: string, config?: string, json?: boolean }} Flags */

/** @param {Flags & { parallel?: number }} flags */
async function reload({ parallel, ...flags }) {
  await command(flags, 'reload', { parallel });
}

/** @param {number | 'auto'} workers @param {Flags} flags */
async function scale(workers, flags) {
  await command(flags, 'scale', { workers });
}

/** @param {Flags & { now?: boolean }} flags */
async function stop({ now, ...flags }) {
  const { socket } = await command(flags, 'stop', { now });
  // The answer comes when the workers have ended; the app is gone when its socket is.
  if (!socket.closed) await once(socket, 'close');
}

/** @param {Flags} flags */
async function status(flags) {
  const { about, socket } = await findApp(flags);
  const state = await ask(socket, 'status');
  socket.destroy();
  const text = flags.json
    ? JSON.stringify(state, null, 2)
    : statusText({ ...about, ...state }, colours(wantsColour(process.stdout)));
  process.stdout.write(`${text}\n`);
}

/**
 * Has it done, and tells what happens meanwhile.
 * @param {Flags} flags
 * @param {string} name
 * @param {object} params
 */
async function command(flags, name, params) {
  const found = await findApp(flags);
  /** @type {string | undefined} */
  let why;
  const onProgress = (/** @type {any} */ event) => {
    if (flags.json) process.stdout.write(`${JSON.stringify(event)}\n`);
    // What the app has to say of it is more than the answer does.
    else if (event.event === 'reloadFailed') why = sentence(event)?.text;
    else printEvent(event);
  };
  try {
    await ask(found.socket, name, params, onProgress);
  } catch (error) {
    if (why === undefined) throw error;
    throw new Failure(EXIT.failed, why);
  } finally {
    if (name !== 'stop') found.socket.destroy();
  }
  return found;
}

/** @param {import('./events').Event} event */
function printEvent(event) {
  const said = sentence(event);
  if (!said) return;
  const stream = said.level === 'info' ? process.stdout : process.stderr;
  const paint = colours(wantsColour(stream));
  stream.write(`${emphasis(paint, said.level)(said.text)}\n`);
}

/** @param {Flags} flags */
async function findApp(flags) {
  const cwd = process.cwd();
  if (flags.name !== undefined) return find(checkName(flags.name), cwd);
  const { values } = await loadConfig(flags.config, cwd);
  return find(values.name && checkName(values.name), cwd);
}
