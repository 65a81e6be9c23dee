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
const aWorkerIsNodes: Same<Worker, node.Worker> = true;
const forkGivesOne: Same<ReturnType<typeof fork>, node.Worker> = true;
const classAndAll: Same<typeof cluster.Worker, typeof node.Worker> = true;
const primary: Same<typeof isPrimary, boolean> = true;

// A library that takes Node's object takes ours.
const library = (given: node.Cluster): boolean => given.isPrimary;
library(cluster);

export const all: [Cluster, ...true[]] = [
  cluster,
  theFlagIsABoolean,
  onTheObjectToo,
  onTheNamespaceToo,
  aWorkerIsNodes,
  forkGivesOne,
  classAndAll,
  primary,
];
