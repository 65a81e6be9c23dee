'use strict';

/** What a program can say about who gets a connection, and its translation for the balancer. */

const errors = require('./errors');
const internals = require('./internals');

module.exports = { fromEnvironment, optionsOf, parse, publicValue };

const cluster = internals.builtin;

const NAMES = ['rr', 'none', 'least-connections', 'ip-hash'];
const ALLOWED = `must be one of: ${NAMES.map((name) => `'${name}'`).join(', ')}, or a function`;

const DEFAULT_HANDOFF_TIMEOUT = 5;
const DEFAULT_LISTENER_LINGER = 5000;

/** @typedef {(connection: object, workers: object[]) => any} Choose */

/**
 * @typedef {object} Scheduling
 * @property {boolean} balanced by the primary, or by the system among workers that accept
 * @property {string} policy as the balancer knows it
 * @property {Choose} [choose] for the policy 'custom'
 */

/**
 * @param {unknown} value of `cluster.schedulingPolicy` or `settings.scheduling`
 * @param {string} name of it, for the error
 * @returns {Scheduling}
 */
function parse(value, name) {
  if (typeof value === 'function') {
    return { balanced: true, policy: 'custom', choose: /** @type {Choose} */ (value) };
  }
  if (value === cluster.SCHED_NONE || value === 'none') return { balanced: false, policy: 'rr' };
  if (value === cluster.SCHED_RR) return { balanced: true, policy: 'rr' };
  if (typeof value === 'string' && NAMES.includes(value)) return { balanced: true, policy: value };
  throw errors.invalidArgValue(name, ALLOWED, value);
}

/** What `cluster.schedulingPolicy` is for it: the builtin's numbers where it has one. */
function publicValue(/** @type {unknown} */ value) {
  if (value === 'rr') return cluster.SCHED_RR;
  return value === 'none' ? cluster.SCHED_NONE : value;
}

/** `NODE_CLUSTER_SCHED_POLICY`, if it names a policy that the builtin does not know. */
function fromEnvironment() {
  const name = process.env.NODE_CLUSTER_SCHED_POLICY;
  if (name === undefined || name === '') return cluster.schedulingPolicy;
  if (NAMES.includes(name)) return publicValue(name);
  // The builtin ignores such a value in silence, so no program may end because of it.
  process.emitWarning(
    `NODE_CLUSTER_SCHED_POLICY is '${name}' and is ignored; known are ${NAMES.join(', ')}`,
    { type: 'RustClusterWarning' },
  );
  return cluster.schedulingPolicy;
}

/**
 * @param {any} settings
 * @param {string} policy
 */
function optionsOf(settings, policy) {
  const { handoffTimeout = DEFAULT_HANDOFF_TIMEOUT, listenerLinger = DEFAULT_LISTENER_LINGER } =
    settings;
  check('handoffTimeout', handoffTimeout, (value) => value > 0, 'greater than 0');
  check('listenerLinger', listenerLinger, (value) => value >= 0, '0 or greater');
  return { handoffTimeout, listenerLinger, policy };
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {(value: number) => boolean} isAllowed
 * @param {string} allowed
 */
function check(name, value, isAllowed, allowed) {
  if (typeof value === 'number' && Number.isFinite(value) && isAllowed(value)) return;
  const reason = `must be a number of milliseconds ${allowed}`;
  throw errors.invalidArgValue(`options.${name}`, reason, value);
}
