'use strict';

// A worker that is busy delays nobody but those it has already begun to serve.
//
//   node examples/slow-fast.js               (another port: PORT=8080 node ...)
//
// /slow blocks the event loop of its worker for three seconds; /fast answers at once. The primary
// asks for /slow, and goes on asking for /fast until that is answered, on a new connection each
// time. Each answer is printed with the time that it took. It ends by itself.

const http = require('node:http');
const os = require('node:os');
const { setTimeout: delay } = require('node:timers/promises');
const cluster = require('rust-cluster');
const lifecycle = require('./lifecycle');

const SLOW = 3000; // milliseconds
const PAUSE = 200;

if (cluster.isPrimary) {
  lifecycle.primary();
  const workers = Math.max(2, os.availableParallelism()); // one is going to be blocked
  const listening = new Set();

  cluster.on('listening', (worker, { port }) => {
    listening.add(worker);
    if (listening.size === workers) compare(`http://localhost:${port}`);
  });
  for (let i = 0; i < workers; i++) cluster.fork();
} else {
  const server = http.createServer((req, res) => {
    if (req.url === '/slow') block(SLOW);
    res.end(`worker ${cluster.worker.id}`);
  });
  lifecycle.worker(server.listen(lifecycle.port));
}

async function compare(url) {
  try {
    let waiting = true;
    const slow = time(`${url}/slow`).finally(() => (waiting = false));
    const fast = timeWhile(() => waiting, `${url}/fast`);
    const [ms, times] = await Promise.all([slow, fast]);
    console.log(
      `/slow took ${ms} ms; the slowest of ${times.length} /fast ${Math.max(...times)} ms`,
    );
  } catch (error) {
    console.log(`Not all requests were answered: ${error.cause?.code ?? error.message}.`);
  }
  lifecycle.stop();
}

async function timeWhile(condition, url) {
  const times = [];
  while (condition()) {
    await delay(PAUSE);
    times.push(await time(url));
  }
  return times;
}

/** Asks for a page on a new connection, and says how many milliseconds the answer took. */
async function time(url) {
  const start = performance.now();
  const response = await fetch(url, { headers: { connection: 'close' } });
  const answer = await response.text();
  const ms = Math.round(performance.now() - start);
  console.log(`${new URL(url).pathname} answered by ${answer} after ${ms} ms`);
  return ms;
}

/** What a long computation does. */
function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
