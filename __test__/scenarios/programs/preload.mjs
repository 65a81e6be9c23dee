// Given to processes by --import: who they are must be known already.

import cluster from 'node:cluster';

if (cluster.isWorker) process.exit(52 + cluster.worker.id);
