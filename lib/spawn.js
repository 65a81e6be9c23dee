'use strict';

/**
 * Starting a worker's process: what `child_process.fork` does for the builtin, with our channel in
 * the place of Node's.
 */

const { ChildProcess, spawn } = require('child_process');
const os = require('os');
const path = require('path');
const { fileURLToPath } = require('url');

const { addonFile } = require('./addon');
const variables = require('./environment');
const errors = require('./errors');
const internals = require('./internals');
const { resolutions } = require('./resolutions');

module.exports = { failedChild, spawnWorker };

const PRELOAD = path.join(__dirname, 'preload.js');

/**
 * @param {import('cluster').ClusterSettings} settings
 * @param {number} id
 * @param {Record<string, unknown> | undefined} env
 * @param {number} channelFd our descriptor that the process inherits
 * @returns what it shall be told of the package is found out while it boots
 */
function spawnWorker(settings, id, env, channelFd) {
  const { serialization, cwd, uid, gid } = settings;
  const exec = validPath(settings.exec);
  const args = validArguments(settings.args);
  if (serialization !== undefined && serialization !== 'json' && serialization !== 'advanced') {
    const allowed = "must be one of: undefined, 'json', 'advanced'";
    throw errors.invalidArgValue('options.serialization', allowed, serialization);
  }
  const stdio = stdioOf(settings);
  const slot = stdio.indexOf('ipc');
  stdio[slot] = channelFd;
  const execArgv = [...(settings.execArgv ?? []), ...inspectorArguments(settings)];
  /** @type {Record<string, unknown>} */
  const environment = {
    ...process.env,
    ...env,
    [variables.BUILTIN_VARIABLE]: execArgv.some(namesFile) ? `${id}` : undefined,
    [variables.ID_VARIABLE]: `${id}`,
    [variables.CHANNEL_VARIABLE]: `${slot}`,
    [variables.ADDON_VARIABLE]: addonFile,
  };
  const preload = environment.NODE_OPTIONS ? [] : ['--require', PRELOAD];
  if (environment.NODE_OPTIONS) {
    environment.NODE_OPTIONS = variables.optionsPrefix(PRELOAD) + environment.NODE_OPTIONS;
  }
  const child = spawn(
    process.execPath,
    [...preload, ...execArgv, exec, ...args],
    /** @type {any} */ ({
      cwd,
      env: environment,
      stdio,
      uid,
      gid,
      windowsHide: /** @type {any} */ (settings).windowsHide,
      shell: false,
    }),
  );
  // After the name of the program itself.
  internals.hideArguments(child, 1, preload.length);
  if (!child.pid) internals.ignoreSignals(child);
  return { child, resolutions: resolutions(exec, cwd, execArgv, environment) };
}

/**
 * Whether an option names a file with further options: what that preloads comes before what is
 * preloaded on the command line.
 */
function namesFile(/** @type {string} */ option) {
  return /^--(env-file|experimental-(default-)?config-file)/.test(option);
}

/** @param {unknown} exec */
function validPath(exec) {
  let file = exec instanceof URL ? fileURLToPath(exec) : exec;
  if (Buffer.isBuffer(file)) file = file.toString();
  if (typeof file !== 'string') {
    const expected = 'of type string or an instance of Buffer or URL';
    throw errors.invalidArgType('modulePath', expected, exec);
  }
  if (file.includes('\0')) {
    const allowed = 'must be a string, Uint8Array, or URL without null bytes';
    throw errors.invalidArgValue('modulePath', allowed, file);
  }
  return file;
}

/** @param {unknown} args @returns {string[]} */
function validArguments(args) {
  if (Array.isArray(args)) return args;
  // As `child_process.fork` has it: an object in this place would be its options.
  if (args === undefined || args === null || typeof args === 'object') return [];
  throw errors.invalidArgType('args', 'an instance of Array', args);
}

/** @param {import('cluster').ClusterSettings} settings @returns {any[]} */
function stdioOf({ stdio, silent }) {
  if (typeof stdio === 'string') {
    if (!['pipe', 'ignore', 'inherit', 'overlapped'].includes(stdio)) {
      throw errors.invalidArgValue('stdio', 'is invalid', stdio);
    }
    return [stdio, stdio, stdio, 'ipc'];
  }
  if (!Array.isArray(stdio)) {
    const each = silent ? 'pipe' : 'inherit';
    return [each, each, each, 'ipc'];
  }
  const channels = stdio.filter((entry) => entry === 'ipc').length;
  if (channels === 0) throw errors.ipcRequired();
  if (channels > 1) throw errors.ipcOnePipe();
  return [...stdio];
}

const INSPECT_ARGUMENT = /--inspect(?:-brk|-port)?|--debug-port/;
const MAX_PORT = 65535;
const MIN_PORT = 1024;

let inspectPortOffset = 1;

/** A worker gets an inspector if the primary has one, on a port of its own. */
function inspectorArguments(/** @type {import('cluster').ClusterSettings} */ settings) {
  let port = /** @type {any} */ (settings).inspectPort;
  if (port === null) throw errors.badPort(port);
  const inspected = [...(settings.execArgv ?? []), process.env.NODE_OPTIONS ?? ''];
  if (!inspected.some((argument) => INSPECT_ARGUMENT.test(argument))) return [];
  if (typeof port === 'function') port = port();
  else if (port === undefined) port = nextInspectPort();
  return [`--inspect-port=${validPort(port)}`];
}

/** The primary's own and up; after the last one comes the first that is not privileged. */
function nextInspectPort() {
  const port = process.debugPort + inspectPortOffset++;
  return port > MAX_PORT ? port - MAX_PORT + MIN_PORT - 1 : port;
}

/** @param {unknown} port */
function validPort(port) {
  const isNumeric = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '');
  if (!isNumeric || Number(port) !== Number(port) >>> 0 || Number(port) > MAX_PORT) {
    throw errors.badPort(port);
  }
  return Number(port);
}

/**
 * A process that was never started; it emits `'error'` as one does whose start has failed.
 * @param {any} cause with the name of an errno as its `code`
 * @param {import('cluster').ClusterSettings} settings
 */
function failedChild({ code }, { execArgv, exec, args }) {
  const child = new /** @type {any} */ (ChildProcess)();
  const program = [validPath(exec), ...validArguments(args)];
  const spawnargs = [process.execPath, ...(execArgv ?? []), ...program];
  Object.assign(child, { spawnfile: process.execPath, spawnargs });
  // One that Node has no name for has to do with descriptors.
  const { [code]: errno = os.constants.errno.EMFILE } = /** @type {any} */ (os.constants.errno);
  internals.failToStart(child, -errno);
  return child;
}
