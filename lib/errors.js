'use strict';

/**
 * The errors that Node's own `cluster` and `child_process` give, with their codes and texts.
 * https://nodejs.org/api/errors.html
 */

/** Only for what is wrong: a worker that starts well does not wait for it. */
const util = () => require('util');

module.exports = {
  badPort,
  channelClosed,
  childClosedBeforeReply,
  disconnected,
  invalidArgType,
  invalidArgValue,
  invalidHandleType,
  ipcOnePipe,
  ipcRequired,
  missingArgument,
  system,
};

/**
 * @template {Error} E
 * @param {new (message: string) => E} Base
 * @param {string} code
 * @param {string} message
 * @returns {E & { code: string }}
 */
function withCode(Base, code, message) {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = /** @type {E & { code: string }} */ (new Base(message));
  Error.stackTraceLimit = limit;
  // As in Node: the code stands in the stack and in toString(), but not in `name`.
  const name = error.name;
  Object.defineProperty(error, 'name', { value: `${name} [${code}]`, configurable: true });
  Error.captureStackTrace(error, withCode);
  // Reading it is what fixes it, as long as the name has the code in it.
  void error.stack;
  Object.defineProperty(error, 'name', { value: name, configurable: true });
  Reflect.deleteProperty(error, 'name');
  Object.defineProperty(error, 'toString', {
    value: () => `${name} [${code}]: ${message}`,
    enumerable: false,
    writable: true,
    configurable: true,
  });
  error.code = code;
  return error;
}

/** How Node describes a value that is of the wrong type. @param {unknown} value */
function received(value) {
  if (value === null || value === undefined) return ` Received ${value}`;
  if (typeof value === 'function') return ` Received function ${value.name}`;
  if (typeof value === 'object') {
    const name = value.constructor?.name;
    return name
      ? ` Received an instance of ${name}`
      : ` Received ${util().inspect(value, { depth: -1 })}`;
  }
  let inspected = util().inspect(value, { colors: false });
  if (inspected.length > 28) inspected = `${inspected.slice(0, 25)}...`;
  return ` Received type ${typeof value} (${inspected})`;
}

/** @param {string} name @param {string} expected @param {unknown} value */
function invalidArgType(name, expected, value) {
  const message = `The "${name}" argument must be ${expected}.${received(value)}`;
  return withCode(TypeError, 'ERR_INVALID_ARG_TYPE', message);
}

/** @param {string} name @param {string} reason @param {unknown} value */
function invalidArgValue(name, reason, value) {
  const kind = name.includes('.') ? 'property' : 'argument';
  const message = `The ${kind} '${name}' ${reason}. Received ${util().inspect(value)}`;
  return withCode(TypeError, 'ERR_INVALID_ARG_VALUE', message);
}

/** @param {string} name */
function missingArgument(name) {
  return withCode(TypeError, 'ERR_MISSING_ARGS', `The "${name}" argument must be specified`);
}

function invalidHandleType() {
  return withCode(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent');
}

function channelClosed() {
  return withCode(Error, 'ERR_IPC_CHANNEL_CLOSED', 'Channel closed');
}

function disconnected() {
  return withCode(Error, 'ERR_IPC_DISCONNECTED', 'IPC channel is already disconnected');
}

function childClosedBeforeReply() {
  return withCode(Error, 'ERR_CHILD_CLOSED_BEFORE_REPLY', 'Child closed before reply received');
}

function ipcRequired() {
  const message = "Forked processes must have an IPC channel, missing value 'ipc' in options.stdio";
  return withCode(Error, 'ERR_CHILD_PROCESS_IPC_REQUIRED', message);
}

function ipcOnePipe() {
  return withCode(Error, 'ERR_IPC_ONE_PIPE', 'Child process can have only one IPC pipe');
}

/** @param {unknown} port */
function badPort(port) {
  const message = `Port should be >= 0 and < 65536.${received(port)}.`;
  return withCode(RangeError, 'ERR_SOCKET_BAD_PORT', message);
}

/**
 * A failed system call.
 * @param {number} errno negative, as libuv has it
 * @param {string} syscall
 */
function system(errno, syscall) {
  const code = util().getSystemErrorName(errno);
  const error = new Error(`${syscall} ${code}`);
  return Object.assign(error, { errno, code, syscall });
}
