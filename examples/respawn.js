'use strict';

// A new worker for each one that dies.
//
//   node examples/respawn.js                 (another port: PORT=8080 node ...)
//
// `curl localhost:3000` says who answers. Kill a worker, by `kill -9` with its pid or by
// `curl localhost:3000/crash`: the others go on serving, and a new one takes its place. When
// workers die faster than new ones are of any use, it gives up. Ctrl-C ends it.

const http = require('node:http');
const os = require('node:os');
const cluster = require('rust-cluster');
const lifecycle = require('./lifecycle');

const WORKERS = os.availableParallelism();

// A worker that dies of a bug at its start would be replaced for ever, at the cost of a whole core.
const MAX_DEATHS = WORKERS + 5;
const WITHIN = 10_000; // milliseconds

if (cluster.isPrimary) {
  lifecycle.primary();
  let deaths = []; // when

  cluster.on('exit', (worker, code, signal) => {
    if (worker.exitedAfterDisconnect) return; // it was asked to
    console.log(
      `worker ${worker.id} (pid ${worker.process.pid}) died: ${signal ?? `code ${code}`}`,
    );

    const now = Date.now();
    deaths = [...deaths, now].filter((death) => now - death < WITHIN);
    if (deaths.length < MAX_DEATHS) {
      cluster.fork();
    } else {
      console.log(`${deaths.length} workers died within ${WITHIN / 1000} seconds: giving up`);
      process.exitCode = 1;
      lifecycle.stop();
    }
  });
  cluster.on('listening', (worker, { port }) => {
    console.log(`worker ${worker.id} (pid ${worker.process.pid}) on http://localhost:${port}`);
  });

  for (let i = 0; i < WORKERS; i++) cluster.fork();
} else {
  const server = http.createServer((req, res) => {
    if (req.url === '/crash') res.on('finish', () => process.exit(1));
    res.end(`Hello from worker ${cluster.worker.id} (pid ${process.pid})\n`);
  });
  lifecycle.worker(server.listen(lifecycle.port));
}
