import cluster, { fork, isPrimary, native } from 'rust-cluster';
import type { Cluster, Worker } from 'rust-cluster';
import * as everything from 'rust-cluster';
import * as node from 'node:cluster';
import 'rust-cluster/register';

/** Compiles only for two types that are the same, and neither of them `any`. */
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

const theFlagIsABoolean: Same<typeof native, boolean> = true;
const onTheObjectToo: Same<typeof cluster.native, boolean> = true;
const onTheNamespaceToo: Same<typeof everything.native, boolean> = true;
const aWorkerIsNodes: Worker extends node.Worker ? true : false = true;
const forkGivesOurs: Same<ReturnType<typeof fork>, Worker> = true;
const classAndAll: Same<typeof cluster.Worker, typeof node.Worker> = true;
const primary: Same<typeof isPrimary, boolean> = true;

// A library that takes Node's object takes ours.
const library = (given: node.Cluster): boolean => given.isPrimary;
library(cluster);

// What is ours.
cluster.setupPrimary({
  handoffTimeout: 20,
  listenerLinger: 0,
  scheduling: 'ip-hash',
  silent: true,
});
cluster.setupPrimary({
  scheduling: ({ remoteAddress }, workers) => workers[remoteAddress ? 1 : 0],
});
cluster.schedulingPolicy = 'least-connections';
cluster.schedulingPolicy = cluster.SCHED_NONE;
cluster.broadcast({ at: 'once' });
const counted: Same<Worker['connections'] | Worker['turns'], number> = true;
fork().nudge();
cluster.supervise({ workers: 'auto' });

export const all: [Cluster, ...true[]] = [
  cluster,
  theFlagIsABoolean,
  onTheObjectToo,
  onTheNamespaceToo,
  aWorkerIsNodes,
  forkGivesOurs,
  classAndAll,
  primary,
  counted,
];
