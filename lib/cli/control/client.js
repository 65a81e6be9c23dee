'use strict';

/** The other end of the control socket: finds an app that runs, and asks something of it. */

const { once } = require('events');
const fs = require('fs');
const net = require('net');
const path = require('path');

const { EXIT, Failure } = require('../failure');
const { readLines, writeLine } = require('./lines');
const { listNames, socketPath } = require('./place');

module.exports = { aboutOf, ask, connect, find };

/** For how long an app may take to say what it is, in milliseconds: it has only to look it up. */
const ABOUT_TIMEOUT = 5000;

let lastId = 0;

/**
 * @typedef {{ name: string, pid: number, script: string, home: string, cwd: string }} About
 * @typedef {{ about: About, socket: net.Socket }} Found
 */

/**
 * The app of that name, or else the one that belongs to this directory.
 * @param {string | undefined} name
 * @param {string} cwd
 * @returns {Promise<Found>}
 */
async function find(name, cwd) {
  if (name !== undefined) {
    const found = await meet(name);
    if (found) return found;
    throw notRunning(`no app named '${name}' is running`, await meetAll());
  }
  const all = await meetAll();
  const closest = Math.max(...all.map(({ about }) => closeness(about, cwd)));
  const here = all.filter(({ about }) => closeness(about, cwd) === closest);
  if (closest > 0 && here.length === 1) {
    for (const { socket } of all) if (socket !== here[0].socket) socket.destroy();
    return here[0];
  }
  if (closest <= 0) throw notRunning('no app of this directory is running', all);
  for (const { socket } of all) socket.destroy();
  const names = here.map(({ about }) => `--name ${about.name} (${about.script})`).join(' or ');
  throw new Failure(EXIT.usage, 'several apps of this directory are running', `choose: ${names}`);
}

/**
 * @param {string} file
 * @returns {Promise<net.Socket | undefined>} undefined if nobody is there
 */
async function connect(file) {
  const socket = net.connect(file);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    const { code = '', message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return undefined;
    throw new Failure(EXIT.failed, `cannot reach the app: ${message}`);
  }
}

/**
 * One request, and its answer. Rejects with what went wrong there.
 * @param {net.Socket} socket
 * @param {string} command
 * @param {object} [params]
 * @param {(event: any) => void} [onProgress]
 * @returns {Promise<any>}
 */
function ask(socket, command, params, onProgress) {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    const gone = () => reject(new Failure(EXIT.failed, 'the app ended before it had answered'));
    socket.once('close', gone);
    socket.on('error', () => {}); // 'close' follows
    readLines(socket, (answer) => {
      if (answer?.id !== id) return;
      if (answer.progress) {
        onProgress?.(answer.progress);
        return;
      }
      socket.removeAllListeners('data').off('close', gone);
      const { error } = answer;
      if (error) reject(new Failure(error.exitCode ?? EXIT.failed, error.message));
      else resolve(answer.result);
    });
    writeLine(socket, { id, command, params });
  });
}

/**
 * What app it is; rejects, and gives the socket up, if it does not say.
 * @param {net.Socket} socket
 * @returns {Promise<About>}
 */
async function aboutOf(socket) {
  const timer = setTimeout(() => socket.destroy(), ABOUT_TIMEOUT);
  try {
    return await ask(socket, 'about');
  } finally {
    clearTimeout(timer);
  }
}

/** @param {string} name @returns {Promise<Found | undefined>} */
async function meet(name) {
  const file = socketPath(name);
  if (!fs.existsSync(file)) return undefined;
  const socket = await connect(file);
  if (!socket) return undefined;
  try {
    return { about: await aboutOf(socket), socket };
  } catch {
    throw new Failure(EXIT.failed, `the app '${name}' does not answer on ${file}`);
  }
}

/** All that run; one that does not answer is none of those that we look for. */
async function meetAll() {
  const met = await Promise.all(listNames().map((name) => meet(name).catch(() => undefined)));
  return met.filter((found) => found !== undefined);
}

/**
 * How near an app is to a directory: the more, the nearer; 0 or less if it is another's.
 * @param {About} about
 * @param {string} cwd
 */
function closeness({ home, cwd: startedIn }, cwd) {
  if (startedIn === cwd) return Infinity;
  const isWithin = cwd === home || cwd.startsWith(home.endsWith(path.sep) ? home : home + path.sep);
  return isWithin ? home.length : 0;
}

/** @param {string} message @param {Found[]} running */
function notRunning(message, running) {
  for (const { socket } of running) socket.destroy();
  const names = running.map(({ about }) => `${about.name} (${about.script})`);
  const hint = names.length > 0 ? `running: ${names.join(', ')}; choose with --name` : undefined;
  return new Failure(EXIT.notRunning, message, hint);
}
