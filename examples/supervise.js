'use strict';

// A supervised Express app: it restarts, reloads and stops without losing a request.
//
//   node examples/supervise.js               (another port: PORT=8080 node examples/supervise.js)
//   kill -HUP PID                            replaces the workers, one after another
//   kill PID, or Ctrl-C                      lets requests end and stops
//
// See docs/supervisor.md for the options.

const cluster = require('rust-cluster');
const express = require('express');
const lifecycle = require('./lifecycle');

if (cluster.isPrimary) {
  lifecycle.supervised();
  const supervisor = cluster.supervise({ hangTimeout: 10_000, maxMemory: '500M' });

  cluster.on('listening', ({ slot, process: { pid } }, { port }) => {
    console.log(`worker ${slot} (pid ${pid}) on http://localhost:${port}`);
  });
  supervisor.on('running', ({ workers }) => {
    console.log(`${workers} workers; reload them with: kill -HUP ${process.pid}`);
  });
} else {
  const app = express();
  const { worker } = cluster;

  app.get('/', (_request, response) => {
    response.type('text').send(`Hello from worker ${worker.slot} (pid ${process.pid})\n`);
  });
  // A load balancer asks here: a worker that is about to go says no.
  app.get('/ready', (_request, response) => response.sendStatus(worker.isDraining ? 503 : 200));

  // Only one worker at a time does this.
  worker.on('leader', () => console.log(`worker ${worker.slot} looks after the jobs`));

  lifecycle.worker(app.listen(lifecycle.port));
}
