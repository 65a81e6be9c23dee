'use strict';

// The supervisor's workers: slots, the leader, readiness, crashes, scaling, signals, exit codes.

const assert = require('node:assert');
const http = require('node:http');
const path = require('node:path');
const { describe, test } = require('node:test');

const { start } = require('./helpers/program.js');
const { request, supervised } = require('./helpers/supervised.js');

const slotAt = async (port, agent) => JSON.parse((await request({ port, agent })).body);

test('every worker has a slot, in cluster.worker and in the environment', async (t) => {
  const { port, program, tell } = await supervised(t, { workers: 2 });
  const { workers, ms } = await program.next('running');
  assert.strictEqual(workers, 2);
  assert.ok(ms > 0);
  const answers = [await slotAt(port), await slotAt(port)];
  assert.deepStrictEqual(answers.map(({ slot }) => slot).sort(), [0, 1]);
  for (const { slot, NODE_APP_INSTANCE } of answers) {
    assert.strictEqual(NODE_APP_INSTANCE, String(slot));
  }
  await tell('stop');
});

test('slots are the same after a crash, a reload and scaling', async (t) => {
  const { port, program, tell, until } = await supervised(t, { workers: 3, backoffMin: 10 });
  await program.next('running');
  await request({ port, path: '/exit?code=3' }).catch(() => {});
  const exit = await program.next('exit');
  assert.deepStrictEqual(
    { code: exit.code, signal: exit.signal, expected: exit.expected, reason: exit.reason },
    { code: 3, signal: null, expected: false, reason: 'crash' },
  );
  const { slot, delay, crashes } = await program.next('backoff');
  assert.deepStrictEqual({ slot, delay, crashes }, { slot: exit.slot, delay: 10, crashes: 1 });
  await until('ready', (ready) => ready.slot === slot && ready.pid !== exit.pid);

  const slots = ({ workers }) => workers.map((worker) => worker.slot);
  assert.deepStrictEqual(slots(await tell('status')), [0, 1, 2]);
  assert.deepStrictEqual(slots(await tell('reload')), [0, 1, 2]);
  assert.deepStrictEqual(slots(await tell('scale?to=1')), [0]);
  assert.deepStrictEqual(slots(await tell('scale?to=4')), [0, 1, 2, 3]);
  const { workers } = await tell('status');
  assert.deepStrictEqual(
    workers.map(({ state }) => state),
    ['ready', 'ready', 'ready', 'ready'],
  );
  const [{ memory, connections, generation, uptime }] = workers;
  assert.ok(memory > 1024 ** 2);
  assert.strictEqual(typeof connections, 'number');
  assert.strictEqual(generation, 2);
  assert.ok(uptime > 0);
  await tell('stop');
});

test('the variable of the slot can be chosen', async (t) => {
  const { program, tell } = await supervised(
    t,
    { workers: 1, slotVariable: 'PLACE', readyOn: 'ready' },
    { app: 'environment.js', listens: false },
  );
  const { environment, execArgv, internal } = await program.next('environment');
  assert.strictEqual(environment.PLACE, '0');
  assert.strictEqual(environment.NODE_APP_INSTANCE, undefined);
  assert.deepStrictEqual(
    Object.keys(environment).filter((name) => name.startsWith('RUST_CLUSTER')),
    [],
  );
  assert.deepStrictEqual(execArgv, []);
  assert.deepStrictEqual(internal, { slot: 0, isLeader: false, isDraining: false });
  await program.next('running');
  await tell('stop');
});

test('there is one leader, and it moves when its worker goes', async (t) => {
  const { program, tell } = await supervised(t, { workers: 2, readyOn: 'online' });
  await program.next('running');
  const first = await program.next('leader');
  const inWorker = await program.next('lead');
  assert.strictEqual(inWorker.pid, first.pid);
  assert.strictEqual(inWorker.isLeader, true);

  process.kill(first.pid, 'SIGKILL');
  const second = await program.next('leader');
  assert.notStrictEqual(second.pid, first.pid);
  assert.strictEqual((await program.next('lead')).pid, second.pid);

  await tell('reload');
  const leaders = (await tell('status')).workers.filter(({ leader }) => leader);
  assert.strictEqual(leaders.length, 1);
  assert.strictEqual(leaders[0].generation, 2);
  await tell('stop');
});

describe('a worker is ready', () => {
  test('with waitReady, when it says so', async (t) => {
    const { program, tell } = await supervised(
      t,
      { workers: 1, waitReady: true },
      { app: 'says-ready.js' },
    );
    // It listens, and is not asked to say more before that has been seen.
    assert.strictEqual((await tell('status')).ready, 0);
    process.kill((await program.next('waiting')).pid, 'SIGUSR1');
    await program.next('ready');
    assert.strictEqual((await tell('status')).ready, 1);
    await tell('stop');
  });

  test('within listenTimeout, or it is replaced', async (t) => {
    const { program, tell } = await supervised(
      t,
      { workers: 1, listenTimeout: 400, backoffMin: 10 },
      { listens: false, app: 'silent.js' },
    );
    const { slot, timeout, pid } = await program.next('notReady');
    assert.deepStrictEqual({ slot, timeout }, { slot: 0, timeout: 400 });
    const exit = await program.next('exit');
    assert.strictEqual(exit.pid, pid);
    assert.deepStrictEqual([exit.reason, exit.expected], ['not-ready', false]);
    await program.next('backoff');
    assert.notStrictEqual((await program.next('notReady')).pid, pid);
    await tell('stop');
  });
});

describe('a crash loop', () => {
  test('gives its slot up, says what it saw, and leaves the others alone', async (t) => {
    const { port, program, tell, until } = await supervised(
      t,
      { workers: 2, maxCrashes: 3, backoffMin: 10 },
      { app: 'crash-in-slot-1.js', stderr: /slot 1 cannot start/ },
    );
    const loop = await program.next('crashLoop');
    assert.strictEqual(loop.slot, 1);
    assert.strictEqual(loop.left, 1);
    assert.strictEqual(loop.crashes.length, 3);
    for (const { code, signal, stderr } of loop.crashes) {
      assert.deepStrictEqual([code, signal], [1, null]);
      assert.match(stderr.join('\n'), /slot 1 cannot start/);
    }
    const delays = [await program.next('backoff'), await program.next('backoff')];
    assert.deepStrictEqual(
      delays.map(({ delay }) => delay),
      [10, 20],
    );
    assert.strictEqual((await request({ port })).body, 'slot 0');
    const { workers } = await tell('status');
    assert.deepStrictEqual(
      workers.map(({ slot, state, crashes }) => [slot, state, crashes]),
      [
        [0, 'ready', 0],
        [1, 'failed', 3],
      ],
    );
    // Whoever scales wants it to be tried again.
    await assert.rejects(tell('scale?to=2'), { code: 'ERR_WORKER_EXITED' });
    await until('start', ({ slot, reason }) => slot === 1 && reason === 'scale');
    await tell('stop');
  });

  test('of all slots ends the program with 1', async (t) => {
    const { program } = await supervised(
      t,
      { workers: 2, maxCrashes: 2, backoffMin: 1, log: true },
      { app: 'crash.js', listens: false, stderr: /worker \d is given up after 2 crashes in a row/ },
    );
    const { code, stderr } = await program.exit;
    assert.strictEqual(code, 1);
    assert.match(stderr, /^ {2}Error: cannot start$/m);
  });
});

describe('signals', () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    test(`${signal} drains, stops and exits with 0`, async (t) => {
      const { port, program } = await supervised(t, { workers: 2 });
      await program.next('running');
      const slow = request({ port, path: '/slow' });
      await program.next('slow');
      program.kill(signal);
      assert.strictEqual((await slow).body, 'slow');
      assert.deepStrictEqual(await program.next('signal'), {
        event: 'signal',
        signal,
        action: 'stop',
      });
      assert.strictEqual((await program.next('draining')).reason, 'stop');
      await program.next('stopped');
      assert.strictEqual((await program.exit).code, 0);
    });
  }

  for (const [signal, expected] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ]) {
    test(`a second ${signal} stops at once and exits with ${expected}`, async (t) => {
      const { port, program } = await supervised(t, { workers: 2, killTimeout: 60_000 });
      await program.next('running');
      const never = request({ port, path: '/never' });
      await program.next('never');
      program.kill(signal);
      await program.next('draining');
      program.insist(signal);
      await assert.rejects(never, { code: 'ECONNRESET' });
      assert.strictEqual((await program.exit).code, expected);
    });
  }

  test('two at once are one, as somebody sends it who signals a process and its group', async (t) => {
    const { port, program } = await supervised(t, { workers: 1 });
    await program.next('running');
    const slow = request({ port, path: '/slow' });
    await program.next('slow');
    // Two of a kind may become one on their way.
    program.kill('SIGTERM');
    program.kill('SIGINT');
    assert.strictEqual((await slow).body, 'slow');
    const { code, stdout } = await program.exit;
    assert.strictEqual(code, 0);
    assert.strictEqual(stdout.match(/"event":"signal"/g).length, 1);
  });

  for (const late of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) {
    test(`${late} when all have stopped does not change how it ends`, async (t) => {
      const { program } = await supervised(t, { workers: 1, late });
      await program.next('running');
      program.kill('SIGTERM');
      const { code, stdout } = await program.exit;
      assert.strictEqual(code, 0);
      assert.strictEqual(stdout.match(/"event":"signal"/g).length, 1);
    });
  }

  for (const signal of ['SIGHUP', 'SIGUSR2']) {
    test(`${signal} reloads`, async (t) => {
      const { program, tell } = await supervised(t, { workers: 1 });
      await program.next('running');
      program.kill(signal);
      assert.strictEqual((await program.next('signal')).action, 'reload');
      assert.strictEqual((await program.next('reloaded')).generation, 2);
      await tell('stop');
    });
  }

  test('Ctrl-C reaches the workers as well, and requests in flight still end', async (t) => {
    const { port, program } = await supervised(t, { workers: 2 });
    await program.next('running');
    const slow = request({ port, path: '/slow' });
    await program.next('slow');
    program.ctrlC();
    assert.strictEqual((await slow).body, 'slow');
    assert.strictEqual((await program.exit).code, 0);
  });

  /** What Ctrl-C does, where the worker hears it first, and has said so when the primary does. */
  const signalGroup = async ({ port, program }, signal) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const { pid } = await slotAt(port, agent);
    program.kill('SIGSTOP');
    process.kill(pid, signal);
    // One turn of its event loop answers this and hears that.
    await slotAt(port, agent);
    program.kill(signal);
    program.kill('SIGCONT');
    agent.destroy();
  };

  test('one to the whole group is the primary’s to obey, whoever hears of it first', async (t) => {
    const supervision = await supervised(t, { workers: 1 });
    const { program } = supervision;
    await program.next('running');
    await signalGroup(supervision, 'SIGINT');
    assert.strictEqual((await program.next('drain')).reason, 'stop');
    const { code, stdout } = await program.exit;
    assert.strictEqual(code, 0);
    // Nobody was to take the place of a worker that seemed to go by itself.
    assert.strictEqual(stdout.match(/"event":"start"/g).length, 1);
  });

  test('with drainDelay, workers serve on also when the whole group gets SIGTERM', async (t) => {
    const supervision = await supervised(t, { workers: 1, drainDelay: 60_000 });
    const { port, program } = supervision;
    await program.next('running');
    await signalGroup(supervision, 'SIGTERM');
    await program.next('draining');
    assert.strictEqual((await request({ port, path: '/draining' })).body, 'true');
    program.insist('SIGTERM');
    assert.strictEqual((await program.exit).code, 143);
  });

  test('a worker that gets SIGTERM drains, and another takes its place', async (t) => {
    const { port, program, tell, until } = await supervised(t, { workers: 1 });
    await program.next('running');
    const slow = request({ port, path: '/slow' });
    const { pid } = await program.next('slow');
    process.kill(pid, 'SIGTERM');
    assert.strictEqual((await slow).body, 'slow');
    const { slot, reason } = await program.next('drain');
    assert.deepStrictEqual({ slot, reason }, { slot: 0, reason: 'self' });
    const exit = await program.next('exit');
    assert.deepStrictEqual([exit.pid, exit.expected, exit.reason], [pid, true, 'self']);
    await until('ready', (ready) => ready.pid !== pid);
    await tell('stop');
  });

  test('with drainDelay, workers serve on and know that they will go', async (t) => {
    const { port, program } = await supervised(t, { workers: 1, drainDelay: 60_000 });
    await program.next('running');
    assert.strictEqual((await request({ port, path: '/draining' })).body, 'false');
    program.kill('SIGTERM');
    const { isDraining } = await program.next('draining');
    assert.strictEqual(isDraining, true);
    assert.strictEqual((await request({ port, path: '/draining' })).body, 'true');
    program.insist('SIGTERM');
    assert.strictEqual((await program.exit).code, 143);
  });
});

test('stop() ends a worker that is still starting', async (t) => {
  const { program, tell } = await supervised(
    t,
    { workers: 2, readyOn: 'ready' },
    { app: 'silent.js', listens: false },
  );
  await program.next('start');
  await tell('stop');
  assert.strictEqual((await program.exit).code, 0);
});

test('there is one supervisor at a time, and it leaves nothing behind', async (t) => {
  const program = start(t, path.join(__dirname, 'fixtures/supervisor/twice.js'));
  await program.next('done');
  assert.strictEqual((await program.exit).code, 0);
});
