'use strict';

// A Fastify app on all cores.
//
//   node examples/fastify.js                 (another port: PORT=8080 node examples/fastify.js)
//
// Nothing in the app knows that there are several of it: `app.listen()` in a worker joins the port
// that they share. Repeat `curl localhost:3000` and see the worker change. Ctrl-C ends it.

const os = require('node:os');
const cluster = require('rust-cluster');
const fastify = require('fastify');
const lifecycle = require('./lifecycle');

if (cluster.isPrimary) {
  lifecycle.primary();
  for (let i = 0; i < os.availableParallelism(); i++) cluster.fork();

  cluster.on('listening', (worker, { port }) => {
    console.log(`worker ${worker.id} (pid ${worker.process.pid}) on http://localhost:${port}`);
  });
} else {
  const app = fastify();

  app.get('/', async () => `Hello from worker ${cluster.worker.id} (pid ${process.pid})\n`);

  lifecycle.worker(app.server);
  // Without a host it would be reached from this machine alone. A failure is lifecycle's to report.
  app.listen({ port: lifecycle.port, host: '0.0.0.0' }, () => {});
}
