'use strict';

// An Express app on all cores.
//
//   node examples/express.js                 (another port: PORT=8080 node examples/express.js)
//
// The primary starts a worker for each core. They all run the same app and listen on the same port,
// and each new connection goes to one of them: repeat `curl localhost:3000` and see the worker
// change. (A browser keeps its connection, and with it its worker.) Ctrl-C ends it.

const os = require('node:os');
const cluster = require('rust-cluster');
const express = require('express');
const lifecycle = require('./lifecycle');

if (cluster.isPrimary) {
  lifecycle.primary();
  for (let i = 0; i < os.availableParallelism(); i++) cluster.fork();

  cluster.on('listening', (worker, { port }) => {
    console.log(`worker ${worker.id} (pid ${worker.process.pid}) on http://localhost:${port}`);
  });
} else {
  const app = express();

  app.get('/', (req, res) => {
    res.type('text').send(`Hello from worker ${cluster.worker.id} (pid ${process.pid})\n`);
  });

  lifecycle.worker(app.listen(lifecycle.port));
}
