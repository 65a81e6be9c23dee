'use strict';

// What makes each example a well-behaved program, and is not what it is about: the port from the
// environment, one clear message when that port is taken, and a clean end at Ctrl-C.

const path = require('node:path');
const cluster = require('rust-cluster');

const DEFAULT_PORT = 3000;

/** How long requests in progress may go on after Ctrl-C, in milliseconds. */
const GRACE = 3000;

const port = Number(process.env.PORT || DEFAULT_PORT);

/** Call it in the primary before it forks. */
function primary() {
  checkPort();
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  cluster.on('message', (worker, message) => {
    if (message.type === 'cannot-listen') fail(message.code);
  });
}

/** Call it instead where a supervisor forks: it is the one that ends the workers. */
function supervised() {
  checkPort();
  cluster.on('message', (worker, message) => {
    if (message.type !== 'cannot-listen') return;
    complain(message.code);
    process.exit(1); // and the workers with it: the supervisor would try again
  });
}

/** Call it in a worker with the server that it has told to listen. */
function worker(server) {
  // Ctrl-C reaches every process of the terminal. It is the primary that ends the workers, so that
  // they can finish what they are doing.
  process.on('SIGINT', () => {});
  // A port that is taken is taken for all the workers alike: let the primary say so, once.
  server.on('error', ({ code }) => {
    if (process.connected) process.send({ type: 'cannot-listen', code });
  });
}

let stopping = false;

/** Ends the workers, and with the last of them the primary, which has nothing left to do. */
function stop() {
  if (stopping) return; // npm passes on the Ctrl-C that the terminal has already sent us
  stopping = true;
  const workers = Object.values(cluster.workers);
  cluster.disconnect();
  // A browser may keep a connection open for minutes, and its worker with it.
  setTimeout(() => workers.forEach(({ process }) => process.kill('SIGKILL')), GRACE).unref();
}

function fail(code) {
  if (stopping) return;
  complain(code);
  process.exitCode = 1;
  stop();
}

function checkPort() {
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return;
  console.error(`PORT must be a whole number from 0 to 65535, not '${process.env.PORT}'.`);
  process.exit(1);
}

function complain(code) {
  const why = code === 'EADDRINUSE' ? 'it is in use' : code;
  const program = path.relative('', process.argv[1]);
  const command = process.env.npm_lifecycle_event === 'start' ? 'npm start' : `node ${program}`;
  const other = port === 8080 ? 8081 : 8080;
  console.error(`Cannot listen on port ${port}: ${why}. Choose another: PORT=${other} ${command}`);
}

module.exports = { port, primary, supervised, worker, stop };
