'use strict';

/**
 * What a supervisor and its workers say to each other. The prefix makes these messages internal:
 * programs that listen to `'message'` do not see them.
 */

module.exports = { messageOf, wrap };

const COMMAND = 'NODE_RUST_CLUSTER_SUPERVISOR';

/**
 * @typedef {import('../supervisor').Reason} Reason
 * @typedef {{ act: 'drain', reason: Reason, timeout: number, now: boolean }
 *   | { act: 'lead' }
 *   | { act: 'end' }} ToWorker
 * @typedef {{ act: 'signalled' }
 *   | { act: 'leaving', reason: Reason }
 *   | { act: 'resigned' }
 *   | { act: 'served', connections: number }} ToSupervisor
 */

/** @param {ToWorker | ToSupervisor} message */
function wrap(message) {
  return { cmd: COMMAND, ...message };
}

/**
 * The message, if it is one of these.
 * @param {any} message
 * @returns {any}
 */
function messageOf(message) {
  return message?.cmd === COMMAND ? message : undefined;
}
