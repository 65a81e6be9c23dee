'use strict';

/** Tells people what they should know without having asked: what is no good news. */

const { follow } = require('./events');
const { sentence } = require('./sentences');

module.exports = { logEvents };

/**
 * @param {import('.').Supervisor} supervisor
 * @param {boolean | ((line: string) => void)} log
 */
function logEvents(supervisor, log) {
  if (log === false) return;
  const write =
    log === true ? (/** @type {string} */ line) => process.stderr.write(`${line}\n`) : log;
  follow(supervisor, (event) => {
    const said = sentence(event);
    if (said && said.level !== 'info') write(`[rust-cluster] ${said.text}`);
  });
}
