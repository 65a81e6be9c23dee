// A worker that is a module, and takes its names from the builtin by static import.

import cluster, { isPrimary, isWorker, worker } from 'node:cluster';
import { createServer } from 'node:net';

const keys = Object.keys(process.env).sort();
createServer((socket) => socket.end('module')).listen(0, '127.0.0.1', () => {
  const { id } = worker;
  const isSame = worker === cluster.worker;
  process.send({ isPrimary, isWorker, id, isSame, keys, execArgv: process.execArgv });
});
