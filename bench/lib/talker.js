'use strict';

/**
 * A primary and a worker that send each other messages: what the benchmark of messages measures.
 * Its argument is JSON: `variant` ('builtin' or 'ours') and `serialization`. Each command of the
 * benchmark's is answered with the seconds it took and the CPU time of both processes.
 */

const { cpuTime } = require('./cpu');
const { messageOf } = require('./payloads');
const { quantile } = require('./rounds');

/** @type {{ variant: string, serialization: 'json' | 'advanced' }} */
const { variant, serialization } = JSON.parse(process.argv[2]);
/** @type {any} */
const cluster = variant === 'ours' ? require('rust-cluster') : require('node:cluster');

/**
 * @typedef {object} Stream
 * @property {'to worker' | 'to primary'} direction
 * @property {string} payload see payloads.js
 * @property {number} count
 * @property {number} burst how many in one turn of the event loop
 * @property {number} [window] how many may wait for their callbacks; if given, `burst` is not used
 */

/** What the receiver of a stream waits for. @type {{ missing: number, done: () => void } | null} */
let expected = null;

if (cluster.isPrimary) primary();
else worker();

function primary() {
  cluster.setupPrimary({ serialization });
  const peer = cluster.fork();
  /** @type {((answer: any) => void)[]} */
  const answers = [];
  const answer = () => new Promise((resolve) => void answers.push(resolve));
  let onEcho = () => {};

  peer.on('message', (/** @type {any} */ message) => {
    if (message.control === undefined) received();
    else if (message.control === 'echo') onEcho();
    else answers.shift()?.(message);
  });
  process.on('disconnect', () => {
    peer.process.kill('SIGKILL');
    process.exit(0);
  });
  process.on('message', async (/** @type {any} */ command) => {
    const pids = [process.pid, peer.process.pid];
    // Both have compiled what they run by then.
    if (command.warmUp) await run({ ...command, count: command.warmUp });
    const cpu = cpuTime(...pids);
    const start = process.hrtime.bigint();
    const more = await run(command);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    process.send?.({ seconds, cpu: cpuTime(...pids) - cpu, ...more });
  });
  answer().then(() => process.send?.('ready'));

  /** @param {any} command */
  async function run(command) {
    if (command.what === 'round trips') return roundTrips(command.count);
    if (command.direction === 'to primary') {
      const all = receive(command.count);
      peer.send({ control: 'send', stream: command });
      await all;
      return {};
    }
    const ready = answer();
    peer.send({ control: 'receive', count: command.count });
    await ready;
    const done = answer();
    send(peer, command);
    await done;
    return {};
  }

  /** @param {number} count @returns {Promise<{ p50: number, p99: number }>} */
  function roundTrips(count) {
    return new Promise((resolve) => {
      const times = new Float64Array(count);
      let n = 0;
      let start = performance.now();
      onEcho = () => {
        times[n++] = (performance.now() - start) * 1000;
        if (n === count) {
          times.sort();
          resolve({ p50: quantile(times, 0.5), p99: quantile(times, 0.99) });
          return;
        }
        start = performance.now();
        peer.send({ control: 'echo', n });
      };
      peer.send({ control: 'echo', n });
    });
  }
}

function worker() {
  process.on('message', (/** @type {any} */ message) => {
    switch (message.control) {
      case undefined:
        received();
        break;
      case 'echo':
        process.send?.(message);
        break;
      case 'send':
        send(process, message.stream);
        break;
      case 'receive':
        receive(message.count).then(() => process.send?.({ control: 'done' }));
        process.send?.({ control: 'ready' });
        break;
      default:
        throw new Error(`No command '${message.control}'`);
    }
  });
  process.send?.({ control: 'ready' });
}

/** @param {number} count @returns {Promise<void>} */
function receive(count) {
  return new Promise((resolve) => {
    expected = { missing: count, done: resolve };
  });
}

function received() {
  if (expected && --expected.missing === 0) expected.done();
}

/**
 * @param {any} target
 * @param {Stream} stream
 */
function send(target, { payload, count, burst, window }) {
  const message = messageOf(payload);
  let sent = 0;
  const one = () => {
    if (sent < count) target.send(message(sent++), one);
  };
  const turn = () => {
    for (let n = 0; n < burst && sent < count; n++) target.send(message(sent++));
    if (sent < count) setImmediate(turn);
  };
  if (window === undefined) turn();
  else for (let n = 0; n < window; n++) one();
}
