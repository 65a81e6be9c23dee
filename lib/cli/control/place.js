'use strict';

/**
 * Where the control socket of an app is: which directory, and by what name.
 *
 * Whoever may connect may stop the app, so the directory must be of this user alone.
 */

const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const path = require('path');

const { EXIT, Failure } = require('../failure');

module.exports = { checkName, defaultName, homeOf, listNames, makeDirectory, socketPath };

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const SUFFIX = '.sock';

/** The kernel's limit (`sun_path`), less the zero at its end. */
const MAX_PATH = process.platform === 'darwin' ? 103 : 107;

/** @param {string} name @returns {string} the same name, if it is one */
function checkName(name) {
  if (NAME.test(name)) return name;
  const allowed = 'letters, digits, ".", "_" and "-", 64 at most, the first a letter or a digit';
  throw new Failure(EXIT.usage, `the name '${name}' is not allowed: a name is made of ${allowed}`);
}

/**
 * The directory that an app belongs to: where its package.json is, or else its own.
 * @param {string} script
 */
function homeOf(script) {
  const own = path.dirname(script);
  for (let directory = own; ; directory = path.dirname(directory)) {
    if (fs.existsSync(path.join(directory, 'package.json'))) return directory;
    if (directory === path.dirname(directory)) return own;
  }
}

/** Two clones of one app have different names. @param {string} home */
function defaultName(home) {
  const hash = crypto.createHash('sha256').update(home).digest('hex').slice(0, 8);
  const base = path
    .basename(home)
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 40);
  return `${base || 'app'}-${hash}`;
}

/** @param {string} name */
function socketPath(name) {
  const file = path.join(directoryPath(), name + SUFFIX);
  const excess = Buffer.byteLength(file) - MAX_PATH;
  if (excess <= 0) return file;
  throw new Failure(
    EXIT.usage,
    `the path of the control socket is ${excess} bytes too long for the system: ${file}`,
    'choose a shorter --name, or a shorter directory in XDG_RUNTIME_DIR',
  );
}

/** The names of all sockets that are there, stale ones included. @returns {string[]} */
function listNames() {
  const directory = directoryPath();
  if (!isThere(directory)) return [];
  checkDirectory(directory);
  return fs
    .readdirSync(directory)
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length))
    .filter((name) => NAME.test(name))
    .sort();
}

/** Makes the directory, unless it is there. */
function makeDirectory() {
  const directory = directoryPath();
  try {
    fs.mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code !== 'EEXIST') {
      const hint = 'XDG_RUNTIME_DIR, or TMPDIR if it is not set, must be a directory to write in';
      throw new Failure(EXIT.failed, `no place for the control socket: ${message}`, hint);
    }
  }
  checkDirectory(directory);
}

function directoryPath() {
  const { XDG_RUNTIME_DIR: runtime } = process.env;
  // Relative ones are to be ignored, says the specification of that variable.
  if (runtime && path.isAbsolute(runtime)) return path.join(runtime, 'rust-cluster');
  return path.join(os.tmpdir(), `rust-cluster-${userId()}`);
}

/**
 * In the temporary directory anybody could have made it before us, to listen in our place.
 * @param {string} directory
 */
function checkDirectory(directory) {
  const { uid, mode } = fs.lstatSync(directory);
  const isDirectory = (mode & fs.constants.S_IFMT) === fs.constants.S_IFDIR;
  if (isDirectory && uid === userId() && (mode & 0o077) === 0) return;
  const wrong = !isDirectory
    ? 'it is not a directory'
    : uid !== userId()
      ? `it belongs to the user ${uid}`
      : `others may enter it (mode ${(mode & 0o777).toString(8)})`;
  throw new Failure(
    EXIT.failed,
    `the directory of the control sockets is not safe: ${directory}: ${wrong}`,
    'remove it, or set XDG_RUNTIME_DIR to a directory that is yours alone',
  );
}

/** @param {string} file */
function isThere(file) {
  return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

function userId() {
  return /** @type {() => number} */ (process.getuid)();
}
