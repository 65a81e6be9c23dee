'use strict';

// When all workers have enough to do, they accept by themselves: see «A crowd» in ARCHITECTURE.md.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');

const {
  ask,
  holder,
  refused,
  endAfter,
  socketPath,
  startWorkers,
  stop,
  until,
} = require('./helpers/connections');

/** As many are sent to each worker. */
const ENOUGH = 4;

/** As many a worker may accept before any of them has been closed. */
const GROWTH = 8;

const many = (count, target) => Array.from({ length: count }, () => ask(target));

/** How many connections wait in the kernel's backlog. */
function waiting(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const row = new RegExp(`: 0100007F:${hex} \\S+ 0A \\w+:(\\w+)`);
  return Number.parseInt(row.exec(fs.readFileSync('/proc/net/tcp', 'utf8'))[1], 16);
}

/** Starts workers and freezes them, with as many clients of each as are sent to it, and more. */
async function crowd(t, { workers: count = 2, more, ...options }) {
  const started = await startWorkers(t, { workers: count, ...options });
  for (const { pid } of started.workers) await stop(pid);
  const answers = [];
  const connected = Array.from({ length: count * ENOUGH + more }, () => {
    return new Promise((resolve) => answers.push(ask(started.target, 'answer', resolve)));
  });
  const all = Promise.all(answers);
  await Promise.race([all, Promise.all(connected)]);
  // More, if it takes the workers to be blocked before as many have come.
  await until(() => waiting(started.target.port) >= more && sleeps(started.pid));
  return { ...started, answers: all };
}

/** Whether no thread of the process has anything to do. */
function sleeps(pid) {
  const threads = fs.readdirSync(`/proc/${pid}/task`);
  return threads.every((tid) => {
    const stat = fs.readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('S');
  });
}

function goOn(...pids) {
  for (const pid of pids) process.kill(pid, 'SIGCONT');
}

describe('a crowd', () => {
  const settings = { handoffTimeout: 60_000 };

  test('is served without the primary, each client once', async (t) => {
    const more = 2 * GROWTH;
    const { program, pid, workers, answers } = await crowd(t, { more, settings });
    await stop(pid);
    goOn(...workers.map((worker) => worker.pid));
    const count = (await answers).length;
    goOn(pid);
    const said = await endAfter(program, count);
    assert.deepEqual(said, { connections: count, requests: count, distinct: count });
  });

  test('is served in turns again when it is gone', async (t) => {
    const { workers, target, answers } = await crowd(t, { more: 100 });
    goOn(...workers.map((worker) => worker.pid));
    await answers;
    // With one of them frozen the other gets all, so the primary hands them out again.
    await stop(workers[0].pid);
    assert.deepEqual(new Set(await Promise.all(many(20, target))), new Set(['2']));
    goOn(workers[0].pid);
  });

  test('is served by the others when one of them is frozen or killed', async (t) => {
    const { program, workers, answers } = await crowd(t, { workers: 3, more: 100 });
    goOn(workers[1].pid);
    process.kill(workers[2].pid, 'SIGKILL');
    assert.deepEqual(new Set(await answers), new Set(['2']));
    goOn(workers[0].pid);
    const { requests, distinct } = await endAfter(program, 112);
    assert.deepEqual([requests, distinct], [112, 112]);
  });

  test('that comes to full servers waits until there is room', async (t) => {
    const { workers, answers } = await crowd(t, { more: 50, server: { maxConnections: 2 } });
    goOn(...workers.map((worker) => worker.pid));
    assert.equal((await answers).length, 2 * ENOUGH + 50);
  });

  const withoutTaskset = spawnSync('taskset', ['-c', '0', 'true']).status !== 0;
  const skip = withoutTaskset && 'there is no taskset';

  test(
    'of more workers than the CPUs need goes to the idle when those at work block',
    { skip },
    async (t) => {
      const command = ['taskset', '-c', '0', process.execPath];
      const { program, target } = await startWorkers(t, { workers: 6 }, { command });
      let over = false;
      let answered = 3 + 24;
      const clients = Array.from({ length: 24 }, async () => {
        for (; !over; answered++) await ask(target);
      });
      const { command: hold, release } = holder(t);
      const slow = [];
      while (slow.length < 3) {
        slow.push(ask(target, hold));
        await until(async () => (await program.next('request')).command.startsWith('hold'));
      }
      // On connections that are younger than the blocks.
      await Promise.all(many(24, target));
      release();
      await Promise.all(slow);
      over = true;
      await Promise.all(clients);
      const { requests, distinct } = await endAfter(program, answered);
      assert.deepEqual([requests, distinct], [answered, answered]);
    },
  );

  test('finds a closed port when all workers were told to leave, and others can have it', async (t) => {
    const options = { workers: 1, more: 3, signal: 'disconnectAll', stays: true, settings };
    const { program, pid, workers, target, answers } = await crowd(t, options);
    const end = assert.rejects(answers);
    process.kill(pid, 'SIGUSR2');
    // The worker, which is still frozen, has the socket.
    await until(async () => (await refused(target)) === 'ECONNREFUSED');
    const server = net.createServer().listen(target.port, target.host);
    await once(server, 'listening');
    server.close();
    goOn(workers[0].pid);
    await program.next('exit');
    await end;
  });

  test('at a Unix socket ends when all workers were told to leave', async (t) => {
    const options = { workers: 1, signal: 'disconnectAll', stays: true, settings };
    const listen = { path: socketPath(t) };
    const { program, pid, workers, target } = await startWorkers(t, { listen, ...options });
    await stop(workers[0].pid);
    const answers = [];
    for (let count = ENOUGH + 3; count > 0; count--) {
      const sent = new Promise((resolve) => {
        answers.push(ask(target, 'answer', resolve).catch(({ code }) => code));
      });
      await sent;
    }
    process.kill(pid, 'SIGUSR2');
    assert.equal(await Promise.race(answers), 'ECONNRESET');
    goOn(workers[0].pid);
    await program.next('exit');
    await Promise.all(answers);
  });
});
