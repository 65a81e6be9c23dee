'use strict';

/** What is running, as plain data. */

const { residentMemoryOf } = require('./memory');

module.exports = { statusOf };

/** @typedef {InstanceType<typeof import('./slot').Slot>} Slot */
/** @typedef {InstanceType<typeof import('./member').Member>} Member */

/**
 * @param {InstanceType<typeof import('./supervisor').Supervisor>} supervisor
 * @param {Slot[]} slots
 * @returns {import('.').Status}
 */
function statusOf({ state, generation, wanted, startedAt, isReloading, leader }, slots) {
  return {
    pid: process.pid,
    state,
    generation,
    wanted,
    ready: slots.filter(({ member }) => member?.state === 'ready').length,
    uptime: Math.round(performance.now() - startedAt),
    reloading: isReloading,
    workers: slots.flatMap((slot) => workersOf(slot, leader)),
  };
}

/**
 * @param {Slot} slot
 * @param {any} leader
 * @returns {import('.').WorkerStatus[]}
 */
function workersOf({ number: slot, members, failed, crashes, restarts }, leader) {
  const counts = { crashes, restarts: Math.max(0, restarts) };
  if (members.length === 0) {
    const state = failed ? 'failed' : 'backoff';
    const none = { id: undefined, pid: undefined, memory: undefined, connections: undefined };
    return [{ slot, state, ...none, generation: 0, leader: false, uptime: 0, ...counts }];
  }
  return members.map(({ generation, state, uptime, worker }) => ({
    slot,
    state: state === 'dead' ? 'draining' : state,
    id: worker.id,
    pid: worker.process.pid,
    generation,
    leader: worker === leader,
    uptime: Math.round(uptime),
    ...counts,
    memory: residentMemoryOf(worker.process.pid),
    connections: worker.connections,
  }));
}
