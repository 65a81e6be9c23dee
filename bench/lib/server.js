'use strict';

/**
 * A cluster of HTTP servers: what the benchmark of connections measures. Its argument is JSON:
 * `variant` ('builtin', 'none' or 'ours') and `workers`. A request for /block?MS blocks its worker.
 */

const http = require('node:http');

/** @type {{ variant: string, workers: number }} */
const { variant, workers } = JSON.parse(process.argv[2]);
/** @type {any} */
const cluster = variant === 'ours' ? require('rust-cluster') : require('node:cluster');

if (cluster.isPrimary) primary();
else worker();

function primary() {
  if (variant === 'none') cluster.schedulingPolicy = cluster.SCHED_NONE;
  if (variant === 'builtin') cluster.schedulingPolicy = cluster.SCHED_RR;
  process.on('message', command);
  process.on('disconnect', stop);
  let missing = workers;
  cluster.on(
    'listening',
    function onListening(/** @type {unknown} */ _worker, /** @type {{ port: number }} */ { port }) {
      if (--missing > 0) return;
      cluster.removeListener('listening', onListening);
      const pids = workersOf().map((each) => each.process.pid);
      answer({ port, pids });
    },
  );
  for (let n = 0; n < workers; n++) cluster.fork();
}

/** @param {{ what: string, ms: number }} message */
async function command({ what, ms }) {
  if (what === 'block') block(ms);
  if (what === 'fork') answer({ time: await forkTime() });
}

/** @returns {any[]} */
function workersOf() {
  return Object.values(cluster.workers);
}

/** @param {unknown} message */
function answer(message) {
  process.send?.(message);
}

function stop() {
  for (const each of workersOf()) each.process.kill('SIGKILL');
  process.exit(0);
}

/** Milliseconds from `fork()` to `'listening'`, of a worker that ends right after. */
async function forkTime() {
  const start = performance.now();
  const forked = cluster.fork();
  await new Promise((resolve) => {
    forked.once('listening', resolve);
  });
  const time = performance.now() - start;
  const gone = new Promise((resolve) => {
    forked.once('exit', resolve);
  });
  forked.process.kill('SIGKILL');
  await gone;
  return time;
}

function worker() {
  const server = http.createServer((request, response) => {
    const [path, argument] = String(request.url).split('?');
    if (path === '/block') block(Number(argument));
    response.end('ok');
  });
  // Connections that only wait must last.
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  server.listen(0, '127.0.0.1');
}

/** Stops this thread without using CPU time, which the others need. */
function block(/** @type {number} */ ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
