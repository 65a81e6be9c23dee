import cluster = require('rust-cluster');
import type { Cluster, Worker } from 'rust-cluster';
import type * as node from 'node:cluster';
import 'rust-cluster/register';

const native: boolean = cluster.native;
const object: Cluster = cluster;
const asNodes: node.Cluster = object;
const worker: Worker = cluster.fork();
const same: cluster.Worker = worker;
const kind: typeof cluster.Worker = cluster.Worker;
console.log(native, asNodes, same instanceof kind);
