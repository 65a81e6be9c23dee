'use strict';

// A Koa app on all cores.
//
//   node examples/koa.js                     (another port: PORT=8080 node examples/koa.js)
//
// Nothing in the app knows that there are several of it: `app.listen()` in a worker joins the port
// that they share. Repeat `curl localhost:3000` and see the worker change. Ctrl-C ends it.

const os = require('node:os');
const cluster = require('rust-cluster');
const Koa = require('koa');
const lifecycle = require('./lifecycle');

if (cluster.isPrimary) {
  lifecycle.primary();
  for (let i = 0; i < os.availableParallelism(); i++) cluster.fork();

  cluster.on('listening', (worker, { port }) => {
    console.log(`worker ${worker.id} (pid ${worker.process.pid}) on http://localhost:${port}`);
  });
} else {
  const app = new Koa();

  app.use((context) => {
    context.body = `Hello from worker ${cluster.worker.id} (pid ${process.pid})\n`;
  });

  lifecycle.worker(app.listen(lifecycle.port));
}
