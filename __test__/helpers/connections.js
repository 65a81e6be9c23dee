'use strict';

// For the tests of what becomes of connections: workers that answer, clients that ask, and a look
// at processes from outside. Nothing in here knows how connections reach a worker.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { setImmediate: nextTurn } = require('node:timers/promises');

const { start } = require('./program');
const { temporary } = require('./temporary');

module.exports = {
  ask,
  cpuOf,
  descriptorsOf,
  endAfter,
  fixture,
  holder,
  lineUp,
  listenerOf,
  refused,
  settle,
  socketPath,
  startWorkers,
  stop,
  until,
  workerIs,
};

/** How long a condition of another process is looked for. */
const PATIENCE = 20_000;

/** The path of a fixture. @param {string} name */
function fixture(name) {
  return path.join(__dirname, '..', 'fixtures', 'connections', name);
}

/** Where a server can listen on a Unix socket. @param {import('node:test').TestContext} t */
function socketPath(t) {
  return path.join(temporary(t), 'socket');
}

/** A worker that is told to hold is blocked until `release` is called; no clock is involved. */
function holder(t) {
  const file = path.join(temporary(t), 'released');
  return { file, command: `hold ${file}`, release: () => fs.writeFileSync(file, '') };
}

/**
 * Starts `answer.js` and waits until all its workers listen.
 *
 * @param {import('node:test').TestContext} t
 * @param {object} [options] of the fixture: `workers`, `listen`, `server`, `signal`, `settings`
 * @param {object} [how] options of `start`, and `limit`: how many descriptors a process may have
 */
async function startWorkers(t, options = {}, { limit, ...how } = {}) {
  const args = [JSON.stringify(options)];
  const program = limit
    ? start(t, fixture('limited.js'), { ...how, args: [`${limit}`, fixture('answer.js'), ...args] })
    : start(t, fixture('answer.js'), { ...how, args });
  const { pid } = await program.next('primary');
  const workers = [];
  for (let count = options.workers ?? 2; count > 0; count--) {
    workers.push(await program.next('listening'));
  }
  workers.sort((one, other) => one.worker - other.worker);
  const target = options.listen?.path
    ? { path: options.listen.path }
    : { port: workers[0].port, host: '127.0.0.1' };
  return { program, pid, workers, target };
}

/**
 * Asks on a fresh connection. Resolves with the answer when the server has ended it, rejects if it
 * ends without one.
 *
 * @param {net.NetConnectOpts} target
 * @param {string} [command] what the worker shall do
 * @param {() => void} [sent] called when the command is on its way
 * @returns {Promise<string>}
 */
function ask(target, command = 'answer', sent = () => {}) {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = net.connect(target, () => socket.write(`${++asked} ${command}\n`, sent));
    socket.setEncoding('utf8').on('data', (text) => (answer += text));
    socket.on('error', reject);
    socket.on('end', () => {
      if (answer.endsWith('\n')) resolve(answer.trim());
      else reject(new Error(`'${command}' has ended without an answer`));
    });
  });
}

/**
 * Asks, several at a time, until all workers have the listening socket to wait there themselves: they
 * are in line then, for ten seconds. The requests do not count in `endAfter`.
 *
 * @param {Awaited<ReturnType<typeof startWorkers>>} started
 */
async function lineUp({ program, workers, target }) {
  const socket = listenerOf(target);
  let over = false;
  let count = 0;
  const clients = Array.from({ length: 3 }, async () => {
    for (; !over; count++) await ask(target);
  });
  try {
    await until(() => workers.every(({ pid }) => descriptorsOf(pid).includes(socket)));
  } finally {
    over = true;
    await Promise.all(clients);
  }
  requestsBefore.set(program, count);
}

/** How many requests were there only to bring the workers into line. */
const requestsBefore = new WeakMap();

/** The listening socket, as in `descriptorsOf`; see proc_net(5) and unix(7). */
function listenerOf({ path: name, port }) {
  const table = fs.readFileSync(name ? '/proc/net/unix' : '/proc/net/tcp', 'utf8').split('\n');
  const rows = table.map((row) => row.trim().split(/\s+/));
  if (name) return `socket:[${rows.find((row) => row[7] === name && row[3] === ACCEPTS)[6]}]`;
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return `socket:[${rows.find((row) => row[1] === local && row[3] === LISTEN)[9]}]`;
}

const ACCEPTS = '00010000';
const LISTEN = '0A';

/** Every request has a number of its own, so that it is recognised in what workers print. */
let asked = 0;

/** The error with which a connection to the target fails, or undefined. */
async function refused(target) {
  try {
    await ask(target);
    return undefined;
  } catch (error) {
    return error.code;
  }
}

/**
 * Ends the program when workers have said of so many requests, and resolves with what they have said
 * of requests and connections. What a process has not written yet when it is killed is lost.
 *
 * @param {import('./program').Program} program
 * @param {number} count
 */
async function endAfter(program, count) {
  await until(() => requestsIn(program).requests >= count);
  await program.end();
  return requestsIn(program);
}

/** What workers have said so far, but for `lineUp`. @param {import('./program').Program} program */
function requestsIn(program) {
  const events = program.stdout.split('\n').filter((line) => line.startsWith('{'));
  const all = events.map((line) => JSON.parse(line));
  const numbers = all.filter(({ event }) => event === 'request').map(({ number }) => number);
  const before = requestsBefore.get(program) ?? 0;
  return {
    connections: all.filter(({ event }) => event === 'connection').length - before,
    requests: numbers.length - before,
    distinct: new Set(numbers).size - before,
  };
}

/**
 * Waits until no worker is still at a connection or at its start; the program was started with
 * `signal: 'settle'`. Resolves with how many connections each worker has open.
 */
async function settle(pid, program) {
  process.kill(pid, 'SIGUSR2');
  return (await program.next('settled')).connections;
}

/** Freezes a process, and waits until it is. */
async function stop(pid) {
  process.kill(pid, 'SIGSTOP');
  await until(() => statOf(pid)[0] === 'T');
}

/** Asks until the worker of that number answers: it takes part in the round. */
async function workerIs(target, number) {
  await until(async () => (await ask(target)) === `${number}`);
}

/** Looks at something that makes no event again and again, until it is so. */
async function until(condition) {
  const giveUp = Date.now() + PATIENCE;
  while (!(await condition())) {
    if (Date.now() > giveUp) throw new Error(`never: ${condition}`);
    await nextTurn();
  }
}

/** The fields of /proc/PID/stat from the state on. */
function statOf(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Milliseconds of CPU that a process has used; the kernel counts in steps of 10. */
function cpuOf(pid) {
  const [user, system] = statOf(pid).slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

/** What each descriptor of a process is open on. */
function descriptorsOf(pid) {
  const directory = `/proc/${pid}/fd`;
  return fs.readdirSync(directory).flatMap((fd) => {
    try {
      return [fs.readlinkSync(path.join(directory, fd))];
    } catch {
      return []; // closed since the listing
    }
  });
}
