'use strict';

/**
 * A load generator with nothing but sockets of `net`, run as a process of its own. Its argument is
 * JSON: `mode` and what that takes; it answers with one message.
 *
 * - `close`: `clients` at a time, each request on a connection of its own, for `seconds`
 * - `keep-alive`: the same, each client on one connection
 * - `paced`: `rate` requests a second on fresh connections, whether those before are answered or not
 * - `idle`: opens `count` connections and holds them until it is told to end
 * - `blocker`: on one connection, requests that block the worker for `ms`, again and again
 */

const net = require('node:net');

const { quantile } = require('./rounds');

const settings = JSON.parse(process.argv[2]);
const { port } = settings;
const HOST = '127.0.0.1';

/** @type {Record<string, (settings: any) => void>} */
const MODES = { close, 'keep-alive': keepAlive, paced, idle, blocker };

process.on('disconnect', () => process.exit(0));

/** @param {object} message */
function answer(message) {
  process.send?.(message);
}

/** @param {string} path @param {string} connection */
function request(path, connection) {
  return `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: ${connection}\r\n\r\n`;
}

const CLOSE = request('/', 'close');
const KEEP_ALIVE = request('/', 'keep-alive');

/**
 * One request on a fresh connection.
 * @param {(error: Error | null) => void} done when the answer is there
 */
function once(done) {
  let answered = false;
  /** @type {Error | null} */
  let error = null;
  const socket = net.connect({ port, host: HOST, noDelay: true });
  socket.write(CLOSE);
  socket.on('data', () => {
    answered = true;
  });
  socket.on('error', (reason) => {
    error = reason;
  });
  socket.on('close', () => done(error ?? (answered ? null : new Error('closed without answer'))));
}

/** @param {{ clients: number, seconds: number }} settings */
function close({ clients, seconds }) {
  const run = counted(seconds);
  const next = () => {
    if (run.over()) return;
    once((error) => {
      run.count(error);
      next();
    });
  };
  for (let n = 0; n < clients; n++) next();
}

/** @param {{ clients: number, seconds: number }} settings */
function keepAlive({ clients, seconds }) {
  const run = counted(seconds);
  for (let n = 0; n < clients; n++) {
    const socket = net.connect({ port, host: HOST, noDelay: true });
    socket.write(KEEP_ALIVE);
    socket.on('error', (error) => run.count(error));
    socket.on('data', () => {
      run.count(null);
      if (run.over()) socket.destroy();
      else socket.write(KEEP_ALIVE);
    });
  }
}

/** Counts what is done in that time, and answers at its end. @param {number} seconds */
function counted(seconds) {
  const start = performance.now();
  let requests = 0;
  let errors = 0;
  setTimeout(() => {
    answer({ requests, errors, seconds: (performance.now() - start) / 1000 });
  }, seconds * 1000);
  return {
    over: () => performance.now() - start > seconds * 1000,
    count: (/** @type {Error | null} */ error) => {
      if (error) errors++;
      else requests++;
    },
  };
}

/** @param {{ rate: number, seconds: number }} settings */
function paced({ rate, seconds }) {
  /** @type {number[]} */
  const times = [];
  const total = rate * seconds;
  const start = performance.now();
  let errors = 0;
  let [begun, ended] = [0, 0];
  const timer = setInterval(begin, 1);
  function begin() {
    const due = Math.min(total, ((performance.now() - start) * rate) / 1000);
    while (begun < due) {
      begun++;
      const from = performance.now();
      once((error) => {
        if (error) errors++;
        else times.push(performance.now() - from);
        if (++ended < total) return;
        times.sort((a, b) => a - b);
        const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
        answer({ requests: times.length, errors, p50, p99, worst: times[times.length - 1] });
      });
    }
    if (begun >= total) clearInterval(timer);
  }
}

/** How many are being opened at a time, so that no backlog overflows. */
const OPENING = 100;

/** From each address there are ports for so many, as long as nobody else uses it. */
const PER_ADDRESS = 5000;

/** Addresses of this server's clients alone: those of others need as many ports. */
const NETWORK = `127.${port >> 8}.${port & 255}`;

/** @param {{ count: number }} settings */
function idle({ count }) {
  let [begun, open] = [0, 0];
  const next = () => {
    if (begun >= count) return;
    const localAddress = `${NETWORK}.${1 + Math.floor(begun++ / PER_ADDRESS)}`;
    const socket = net.connect({ port, host: HOST, localAddress });
    socket.on('connect', () => {
      if (++open === count) answer({ open });
      next();
    });
    socket.on('error', (error) => {
      throw error;
    });
  };
  for (let n = 0; n < OPENING; n++) next();
}

/** How long the worker is free in between. */
const PAUSE = 100;

/** @param {{ ms: number }} settings */
function blocker({ ms }) {
  const socket = net.connect({ port, host: HOST, noDelay: true });
  const text = request(`/block?${ms}`, 'keep-alive');
  socket.once('connect', () => {
    socket.write(text);
    answer({ blocking: true });
  });
  socket.on('data', () => setTimeout(() => socket.write(text), PAUSE));
}

MODES[settings.mode](settings);
