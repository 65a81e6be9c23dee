// Named exports for `import { fork } from 'rust-cluster'`. They are live, and the same names exist
// in the primary and in workers, so that one program can run as both.
import cluster from './index.js';
import exportsOf from './lib/exports.js';

export default cluster;

export let Worker;
export let SCHED_NONE;
export let SCHED_RR;
export let broadcast;
export let disconnect;
export let fork;
export let isMaster;
export let isPrimary;
export let isWorker;
export let native;
export let schedulingPolicy;
export let settings;
export let setupMaster;
export let setupPrimary;
export let supervise;
export let worker;
export let workers;

function refresh() {
  ({
    Worker,
    SCHED_NONE,
    SCHED_RR,
    broadcast,
    disconnect,
    fork,
    isMaster,
    isPrimary,
    isWorker,
    native,
    schedulingPolicy,
    settings,
    setupMaster,
    setupPrimary,
    supervise,
    worker,
    workers,
  } = cluster);
}

refresh();
exportsOf.onChange(refresh);
