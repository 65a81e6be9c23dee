'use strict';

module.exports = { error };

/**
 * @param {import('.').SupervisorErrorCode} code
 * @param {string} message
 * @param {{ slot?: number, exit?: import('.').ExitInfo }} [details]
 * @returns {import('.').SupervisorError}
 */
function error(code, message, details) {
  const made = Object.assign(new Error(message), { code, ...details });
  Error.captureStackTrace(made, error);
  return made;
}
