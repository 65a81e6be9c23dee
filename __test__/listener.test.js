'use strict';

// A listening socket while nobody can take a connection: clients wait in the kernel's queue, the
// primary neither grows nor spins, and nothing stays behind.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const { describe, test } = require('node:test');

const { start } = require('./helpers/program');
const {
  ask,
  descriptorsOf,
  holder,
  lineUp,
  listenerOf,
  refused,
  endAfter,
  fixture,
  settle,
  socketPath,
  startWorkers,
  stop,
  until,
} = require('./helpers/connections');

/** As many requests at once. */
function many(target, count = 20) {
  return Array.from({ length: count }, () => ask(target));
}

/** A client that stays until it is told to go; resolves when its worker has answered. */
function guest(target) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(target, () => socket.write('0 stay\n'));
    socket.on('error', reject).once('data', () => resolve(socket));
  });
}

/** What a client that only waits has heard by now. */
function watched(answers) {
  const settled = { count: 0 };
  for (const answer of answers) answer.finally(() => settled.count++);
  return settled;
}

describe('nobody can take a connection', () => {
  test('while all workers are blocked clients wait in the queue of the system', async (t) => {
    const { program, pid, target } = await startWorkers(t);
    const quiet = descriptorsOf(pid).length;
    const holders = [holder(t), holder(t)];
    const slow = [];
    for (const { command } of holders) {
      slow.push(ask(target, command));
      await until(async () => (await program.next('request')).command === 'hold');
    }
    const answers = many(target, 200);
    const settled = watched(answers);
    const client = net.connect(target);
    await new Promise((resolve) => client.once('connect', resolve));
    // What is under way to a worker is in its socket; the primary itself holds next to nothing.
    assert.ok(descriptorsOf(pid).length < quiet + 20);
    assert.equal(settled.count, 0);
    client.destroy();
    for (const { release } of holders) release();
    await Promise.all([...slow, ...answers]);
    const { requests, distinct } = await endAfter(program, 202);
    assert.deepEqual([requests, distinct], [202, 202]);
  });

  test('the last worker has crashed: the next one serves those who wait', async (t) => {
    const { program, pid, workers, target } = await startWorkers(t, {
      workers: 1,
      signal: 'fork',
      stays: true,
    });
    process.kill(workers[0].pid, 'SIGKILL');
    await program.next('exit');
    await program.next('disconnect');
    const answers = many(target);
    process.kill(pid, 'SIGUSR2');
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['2']));
  });

  test('a worker that crashes again and again loses no client that it has not taken', async (t) => {
    const { program, pid, workers, target } = await startWorkers(t, {
      workers: 1,
      signal: 'fork',
      stays: true,
    });
    let { pid: worker } = workers[0];
    for (let round = 0; round < 5; round++) {
      await stop(worker);
      const answers = many(target);
      process.kill(worker, 'SIGKILL');
      await program.next('exit');
      process.kill(pid, 'SIGUSR2');
      ({ pid: worker } = await program.next('listening'));
      await Promise.all(answers);
    }
    const said = await endAfter(program, 100);
    assert.deepEqual(said, { connections: 100, requests: 100, distinct: 100 });
  });
});

describe('a listener without workers', () => {
  test('closes at once after a crash if it shall not linger', async (t) => {
    const settings = { listenerLinger: 0 };
    const { program, workers, target } = await startWorkers(t, {
      workers: 1,
      stays: true,
      settings,
    });
    process.kill(workers[0].pid, 'SIGKILL');
    await program.next('disconnect');
    assert.equal(await refused(target), 'ECONNREFUSED');
  });

  test('closes when its time is over', async (t) => {
    const settings = { listenerLinger: 200 };
    const { program, workers, target } = await startWorkers(t, { workers: 1, settings });
    const keep = holder(t);
    process.kill(workers[0].pid, 'SIGKILL');
    await program.next('disconnect');
    // Whoever waits by then is turned away, and whoever comes later.
    assert.match(await refused(target), /^(?:ECONNRESET|ECONNREFUSED)$/);
    assert.equal(await refused(target), 'ECONNREFUSED');
    keep.release();
  });

  for (const [how, { signal, command, event }] of Object.entries({
    'its worker was told to leave': { signal: 'disconnect', event: 'disconnect' },
    'all were told to leave': { signal: 'disconnectAll', event: 'disconnect' },
    'the channel of its worker was closed': { signal: 'cut', event: 'disconnect' },
    'its worker has closed it': { command: 'close', event: 'closed' },
    'its worker has left': { command: 'leave', event: 'disconnect' },
    'its worker has ended by itself': { command: 'exit', event: 'disconnect' },
  })) {
    test(`closes at once when ${how}`, async (t) => {
      const { program, pid, target } = await startWorkers(t, { workers: 1, signal });
      if (signal) process.kill(pid, 'SIGUSR2');
      else await ask(target, command);
      await program.next(event);
      assert.equal(await refused(target), 'ECONNREFUSED');
    });
  }

  test('does not keep the primary alive', async (t) => {
    const settings = { listenerLinger: 600_000 };
    const { program, workers } = await startWorkers(t, { workers: 1, settings });
    process.kill(workers[0].pid, 'SIGKILL');
    const { code } = await program.exit;
    assert.equal(code, 0);
  });

  test('leaves no file of its Unix socket behind', async (t) => {
    const file = socketPath(t);
    const settings = { listenerLinger: 600_000 };
    const options = { workers: 1, settings, listen: { path: file } };
    const { program, workers } = await startWorkers(t, options);
    assert.ok(fs.existsSync(file));
    process.kill(workers[0].pid, 'SIGKILL');
    await program.exit;
    assert.ok(!fs.existsSync(file));
  });
});

describe('out of descriptors', () => {
  test('the primary waits without work, and loses nobody', async (t) => {
    const options = { signal: 'exhaust' };
    const { program, pid, target } = await startWorkers(t, options, { limit: 80 });
    process.kill(pid, 'SIGUSR2');
    assert.equal((await program.next('exhausted')).code, 'EMFILE');
    const answers = many(target, 100);
    const settled = watched(answers);
    const { cpu, milliseconds } = await program.next('free');
    assert.equal(settled.count, 0);
    assert.ok(cpu < milliseconds / 4, `${cpu} ms of CPU in ${milliseconds} ms`);
    await Promise.all(answers);
    const said = await endAfter(program, 100);
    assert.deepEqual(said, { connections: 100, requests: 100, distinct: 100 });
  });

  test('the workers in line need nothing of the primary', async (t) => {
    const started = await startWorkers(t, { signal: 'exhaust' }, { limit: 80 });
    const { program, pid, target } = started;
    await lineUp(started);
    process.kill(pid, 'SIGUSR2');
    assert.equal((await program.next('exhausted')).code, 'EMFILE');
    await Promise.all(many(target, 100));
    await program.next('free');
    await endAfter(program, 100);
  });

  test('the primary does not lose what it would have to take back', async (t) => {
    const settings = { handoffTimeout: 200 };
    const options = { signal: 'exhaust', settings };
    const { program, pid, workers, target } = await startWorkers(t, options, { limit: 80 });
    await stop(workers[0].pid);
    const answers = many(target);
    // The other one has answered, so the frozen one has been given its share.
    await Promise.any(answers);
    process.kill(pid, 'SIGUSR2');
    await program.next('free');
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['2']));
  });

  test('the primary does not lose what a full worker gives back', async (t) => {
    const options = { signal: 'exhaust', server: { maxConnections: 1 } };
    const { program, pid, target } = await startWorkers(t, options, { limit: 80 });
    const guests = [await guest(target), await guest(target)];
    const answers = many(target);
    await new Promise((resolve) =>
      net
        .connect(target, resolve)
        .on('error', () => {})
        .unref(),
    );
    process.kill(pid, 'SIGUSR2');
    await program.next('free');
    for (const socket of guests) socket.destroy();
    await Promise.all(answers);
  });

  test('fork() gives a worker that works, or one that says why not', async (t) => {
    // More than a worker costs its primary while it is started.
    const most = 24;
    const args = ['80', fixture('fork-exhausted.js'), `${most}`];
    const program = start(t, fixture('limited.js'), { args });
    const { pid } = await program.next('ready');
    const before = descriptorsOf(pid).length;
    process.kill(pid, 'SIGUSR2');
    const said = [];
    for (let left = 0; left <= most; left++) said.push((await program.next('forked')).said);
    const enough = said.indexOf('online');
    const dead = 'spawn fork-exhausted.js: EMFILE, dead true, killed false';
    // After the process was started it fails as well: a worker has more than the builtin's channel.
    assert.ok(enough > 4);
    assert.deepEqual(new Set(said.slice(0, enough)), new Set([dead]));
    assert.deepEqual(new Set(said.slice(enough)), new Set(['online']));
    await program.next('done');
    await until(() => descriptorsOf(pid).length === before);
    process.kill(pid, 'SIGUSR2');
    assert.equal((await program.exit).code, 0);
  });

  for (const [which, command] of [
    ['waits', 'exhaust'],
    ['turns', 'hoard 60000'],
  ]) {
    test(`a worker whose loop ${which} leaves what it cannot take to the others`, async (t) => {
      const { program, target } = await startWorkers(t, {}, { limit: 80 });
      await ask(target, command);
      await Promise.all(many(target, 50));
      const said = await endAfter(program, 51);
      assert.deepEqual(said, { connections: 51, requests: 51, distinct: 51 });
    });
  }

  for (const [when, command] of [
    ['as soon as it can', 'exhaust 500'],
    ['though nothing else happens there', 'hoard 300'],
  ]) {
    test(`the only worker serves them ${when}`, async (t) => {
      const { program, target } = await startWorkers(t, { workers: 1 }, { limit: 80 });
      await ask(target, command);
      await Promise.all(many(target, 50));
      const said = await endAfter(program, 51);
      assert.deepEqual(said, { connections: 51, requests: 51, distinct: 51 });
    });
  }
});

describe('nothing is left', () => {
  test('of connections, of refused ones, and of a worker that was killed', async (t) => {
    const { program, pid, workers, target } = await startWorkers(t, {
      signal: 'settle',
      respawns: true,
      server: { maxConnections: 20 },
      listen: { port: 0, host: '127.0.0.1', backlog: 4096 },
    });
    const listener = listenerOf(target);
    const count = () => {
      // A worker has it while it is in line.
      const ofWorker = descriptorsOf(workers[1].pid).filter((link) => link !== listener);
      return [descriptorsOf(pid).length, ofWorker.length];
    };
    await Promise.all(many(target, 40)); // whatever is opened once is open now
    await until(async () => `${await settle(pid, program)}` === '0,0');
    const before = count();
    const asBefore = () => `${count()}` === `${before}`;

    for (let wave = 0; wave < 10; wave++) await Promise.all(many(target, 100));
    await until(asBefore);

    const guests = await Promise.all(Array.from({ length: 40 }, () => guest(target)));
    const waiting = many(target, 1_000);
    let most = 0;
    for (let turn = 0; turn < 200; turn++) {
      await new Promise(setImmediate);
      most = Math.max(most, descriptorsOf(pid).length);
    }
    for (const socket of guests) socket.end();
    await Promise.all(waiting);
    assert.ok(most < before[0] + 64, `${most} descriptors, ${before[0]} before`);
    await until(asBefore);

    process.kill(workers[0].pid, 'SIGKILL');
    await program.next('disconnect');
    await program.next('listening');
    await until(asBefore);
    const ofWorkers = /memfd:rust-cluster-(worker|channel)/;
    assert.ok(!descriptorsOf(pid).some((link) => ofWorkers.test(link)));
  });

  test('to be inherited by what a worker or the primary starts', async (t) => {
    const { program, pid, workers, target } = await startWorkers(t, { signal: 'grandchild' });
    process.kill(pid, 'SIGUSR2');
    const ofPrimary = (await program.next('grandchild')).links;
    const ofWorker = (await ask(target, 'grandchild')).split(',');
    const isSocket = (link) => link.startsWith('socket:') || link.includes('memfd');
    const owned = [pid, ...workers.map((worker) => worker.pid)].flatMap(descriptorsOf);
    assert.ok(owned.some(isSocket));
    for (const links of [ofPrimary, ofWorker]) {
      assert.ok(links.length > 3);
      assert.deepEqual(
        links.filter((link) => isSocket(link) && owned.includes(link)),
        [],
      );
    }
  });
});
