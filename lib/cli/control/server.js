'use strict';

/**
 * The app's end of the control socket: one name, one app.
 *
 * A socket file outlives a process that is killed; so who finds one asks it whether somebody is
 * there, and takes its place if not. Between the question and the taking nobody else may do the
 * same, so it is done by one process at a time.
 */

const { once } = require('events');
const fs = require('fs');
const net = require('net');

const { EXIT, Failure } = require('../failure');
const { aboutOf, connect } = require('./client');
const { alone } = require('./lock');
const { readLines, writeLine } = require('./lines');
const { makeDirectory, socketPath } = require('./place');

module.exports = { claim };

/**
 * Does what a request asks for; may report on the way.
 * @typedef {(params: any, progress: (event: object) => void) => unknown} Command
 */

/**
 * Listens under that name, or throws if another app does. It keeps the process alive until it is
 * closed: an app that is scaled to nothing can be scaled up again.
 * @param {string} name
 * @param {Record<string, Command>} commands by name
 * @returns {Promise<{ path: string, close: () => void }>}
 */
async function claim(name, commands) {
  const path = socketPath(name);
  makeDirectory();
  const server = net.createServer((socket) => serve(socket, commands));
  await alone(`${path}.lock`, async () => {
    if (await listen(server, path)) return;
    const other = await connect(path);
    if (other) throw await alreadyRunning(name, other);
    fs.rmSync(path, { force: true });
    await listen(server, path);
  });
  // This removes the file as well.
  const close = () => void server.close();
  process.once('exit', close);
  return { path, close };
}

/**
 * @param {net.Server} server
 * @param {string} path
 * @returns {Promise<boolean>} false if there is such a file already
 */
async function listen(server, path) {
  // The file must never have another mode, not even for a moment; bind() happens within listen().
  const mask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  try {
    await once(server, 'listening');
    return true;
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'EADDRINUSE') return false;
    throw new Failure(EXIT.failed, `the control socket cannot be made: ${message}`);
  }
}

/** @param {string} name @param {net.Socket} socket */
async function alreadyRunning(name, socket) {
  const about = await aboutOf(socket).catch(() => undefined);
  socket.destroy();
  const what = about ? ` (${about.script}, pid ${about.pid})` : '';
  return new Failure(
    EXIT.alreadyRunning,
    `an app named '${name}' is running already${what}`,
    `give this one another name with --name, or end the other: rust-cluster stop --name ${name}`,
  );
}

/** @param {net.Socket} socket @param {Record<string, Command>} commands */
function serve(socket, commands) {
  // The other end went away, or is not one of ours: nothing that the app has to care for.
  socket.on('error', () => {});
  readLines(socket, (request) => answer(socket, commands, request ?? {}));
}

/** @param {net.Socket} socket @param {Record<string, Command>} commands @param {any} request */
async function answer(socket, commands, { id, command, params }) {
  try {
    if (!Object.hasOwn(commands, command)) {
      const known = Object.keys(commands).join(', ');
      throw new Failure(EXIT.usage, `there is no command '${command}'; there are ${known}`);
    }
    const progress = (/** @type {object} */ event) => writeLine(socket, { id, progress: event });
    const result = await commands[command](params ?? {}, progress);
    writeLine(socket, { id, result: result ?? null });
  } catch (error) {
    const { message, exitCode = EXIT.failed } = /** @type {any} */ (error);
    writeLine(socket, { id, error: { message, exitCode } });
  }
}
