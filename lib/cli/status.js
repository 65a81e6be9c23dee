'use strict';

/** `rust-cluster status`, for a person. */

const { duration, size } = require('../supervisor/units');
const { addressText } = require('./sentences');
const { table } = require('./table');

module.exports = { statusText };

/**
 * @param {any} status of the app, with what it is
 * @param {import('./colour').Colours} paint
 */
function statusText(status, paint) {
  const { name, pid, script, state, uptime, ready, wanted, addresses, reloading } = status;
  const doing = reloading ? `${state}, reloading` : state;
  const healthy = ready >= wanted && state === 'running';
  const facts = [
    ['app', script],
    ['pid', `${pid}, up ${duration(uptime)}`],
    ['state', (healthy ? paint.green : paint.yellow)(`${doing}, ${ready} of ${wanted} ready`)],
    ['listening', addresses.map(addressText).join(', ') || 'nowhere'],
  ];
  const head = facts.map(([key, value]) => `${paint.dim(key.padEnd(9))}  ${value}`);
  const rows = status.workers.map(row);
  const columns = ['SLOT', 'PID', 'STATE', 'UP', 'RESTARTS', 'CRASHES', 'MEMORY', 'CONNECTIONS'];
  const [heads, ...lines] = table(columns, rows, [0, 1, 3, 4, 5, 6, 7]).split('\n');
  return [paint.bold(name), ...head, '', paint.dim(heads), ...lines].join('\n');
}

/** @param {import('../supervisor').WorkerStatus} worker @returns {string[]} */
function row({ slot, pid, state, leader, uptime, restarts, crashes, memory, connections }) {
  return [
    `${slot}`,
    pid === undefined ? '-' : `${pid}`,
    leader ? `${state}, leader` : state,
    pid === undefined ? '-' : duration(uptime),
    `${restarts}`,
    `${crashes}`,
    memory === undefined ? '-' : size(memory),
    connections === undefined ? '-' : `${connections}`,
  ];
}
