'use strict';

// A process whose environment names a worker through its prototype alone. It is no worker.

Object.setPrototypeOf(process.env, { NODE_UNIQUE_ID: '42' });
const cluster = require(process.argv[2]);

const { isPrimary, isWorker } = cluster;
console.log(JSON.stringify({ isPrimary, isWorker, fork: typeof cluster.fork }));
