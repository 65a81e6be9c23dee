'use strict';

// Given to processes by --require: who they are must be known already.

const cluster = require('node:cluster');

if (cluster.isWorker) process.exit(42 + cluster.worker.id);
