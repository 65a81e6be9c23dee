'use strict';

// A count that all workers share.
//
//   node examples/message-counter.js         (another port: PORT=8080 node ...)
//
// Workers have no memory in common, so they tell the primary of each request, and the primary tells
// all of them the new total. Repeat `curl localhost:3000`: the count grows by one each time, though
// another worker answers. `curl localhost:3000/total` looks without being counted. Ctrl-C ends it.

const http = require('node:http');
const os = require('node:os');
const cluster = require('rust-cluster');
const lifecycle = require('./lifecycle');

if (cluster.isPrimary) {
  lifecycle.primary();
  let total = 0;

  cluster.on('message', (sender, message) => {
    if (message.type !== 'request') return;
    total++;
    for (const worker of Object.values(cluster.workers)) {
      // Sending to a worker that ends at this very moment is an error, which goes to the callback.
      worker.send({ type: 'total', total }, () => {});
    }
  });
  cluster.on('listening', (worker, { port }) => {
    console.log(`worker ${worker.id} (pid ${worker.process.pid}) on http://localhost:${port}`);
  });

  for (let i = 0; i < os.availableParallelism(); i++) cluster.fork();
} else {
  let total = 0;

  process.on('message', (message) => {
    if (message.type === 'total') total = message.total;
  });

  const server = http.createServer((req, res) => {
    if (req.url === '/') process.send({ type: 'request' });
    res.end(`worker ${cluster.worker.id} knows of ${total} requests before this one\n`);
  });
  lifecycle.worker(server.listen(lifecycle.port));
}
