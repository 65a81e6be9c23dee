'use strict';

/** For what does not work without the native core. */
const WARNING = { code: 'RUST_CLUSTER_FALLBACK', type: 'RustClusterWarning' };

module.exports = { WARNING, error };

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
