'use strict';

// Who gets a connection: the policies, their names, and what a program sees of its workers.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { describe, test } = require('node:test');

const {
  ask,
  fixture,
  holder,
  settle,
  startWorkers,
  stop,
  until,
  workerIs,
} = require('./helpers/connections');
const { start } = require('./helpers/program');

const COUNT = 20;

/** A client that stays; its worker is in `worker`. */
async function guest(target) {
  const socket = net.connect(target, () => socket.write('0 stay\n'));
  const [answer] = await once(socket, 'data');
  return { socket, worker: Number(answer) };
}

/** Asks one after the other, each when no worker is at the one before any more. */
async function inTurn({ program, pid, target }, count) {
  const answers = [];
  for (let i = 0; i < count; i++) {
    await settle(pid, program);
    answers.push(Number(await ask(target)));
  }
  return answers;
}

describe('round robin', () => {
  test('gives one to each worker, in the order in which they began to listen', async (t) => {
    // However late the system lets a worker run, it does not count as blocked.
    const settings = { handoffTimeout: 60_000 };
    const started = await startWorkers(t, { workers: 3, signal: 'settle', settings });
    const answers = await inTurn(started, 12);
    const round = answers.slice(0, 3);
    assert.deepEqual([...round].sort(), [1, 2, 3]);
    assert.deepEqual(answers, [...round, ...round, ...round, ...round]);
  });

  test('leaves out who is blocked, and goes on with him when he is not', async (t) => {
    const { program, target } = await startWorkers(t, { workers: 3 });
    const { command, release } = holder(t);
    const slow = ask(target, command);
    const { worker: blocked } = await program.next('request');
    for (let i = 0; i < 6; i++) assert.notEqual(Number(await ask(target)), blocked);
    release();
    await slow;
    await workerIs(target, blocked);
  });

  test('is what a program gets that says nothing, with the number of the builtin', async (t) => {
    const program = start(t, fixture('settings.js'), { args: ['{}'] });
    assert.equal((await program.next('tried')).policy, 2);
  });
});

describe("the policy 'none'", () => {
  test('lets workers accept by themselves: a frozen primary is not noticed', async (t) => {
    const settings = { scheduling: 'none' };
    const { pid, target } = await startWorkers(t, { settings });
    await stop(pid);
    await Promise.all(Array.from({ length: COUNT }, () => ask(target)));
    process.kill(pid, 'SIGCONT');
  });
});

describe("the policy 'least-connections'", () => {
  test('gives to the worker with the fewest open connections', async (t) => {
    const settings = { scheduling: 'least-connections', handoffTimeout: 60_000 }; // as above
    const { program, pid, target } = await startWorkers(t, { signal: 'settle', settings });
    const haveOpen = (...counts) =>
      until(async () => `${await settle(pid, program)}` === `${counts}`);
    const guests = [];
    for (let i = 0; i < 4; i++) {
      guests.push(await guest(target));
      await settle(pid, program);
    }
    await haveOpen(2, 2);
    for (const { socket, worker } of guests) if (worker === 1) socket.destroy();
    await haveOpen(0, 2);
    const next = [await guest(target), await guest(target)];
    assert.deepEqual(
      next.map(({ worker }) => worker),
      [1, 1],
    );
    await haveOpen(2, 2);
    for (const { socket } of [...guests, ...next]) socket.destroy();
    await haveOpen(0, 0);
  });
});

describe("the policy 'ip-hash'", () => {
  const clients = Array.from({ length: COUNT }, (_, i) => `127.0.0.${i + 2}`);
  const settings = { scheduling: 'ip-hash' };

  /** Which worker answers each client. */
  async function owners(target) {
    const answers = clients.map((localAddress) => ask({ ...target, localAddress }));
    return (await Promise.all(answers)).map(Number);
  }

  test('keeps a client at its worker, and moves only those of one that dies', async (t) => {
    const { program, workers, target } = await startWorkers(t, { workers: 3, settings });
    const before = await owners(target);
    assert.deepEqual(await owners(target), before);
    assert.deepEqual(new Set(before), new Set([1, 2, 3]));
    process.kill(workers[1].pid, 'SIGKILL');
    await program.next('disconnect');
    const after = await owners(target);
    const kept = before.map((owner, i) => (owner === 2 ? after[i] : owner));
    assert.deepEqual(after, kept);
    assert.ok(!after.includes(2));
  });

  test('keeps the clients of a frozen worker, all of them, and hinders no others', async (t) => {
    const { workers, target } = await startWorkers(t, { settings });
    const before = await owners(target);
    const localAddress = clients[before.indexOf(1)];
    await stop(workers[0].pid);
    const waiting = Array.from({ length: 24 }, () => ask({ ...target, localAddress }));
    const other = clients[before.indexOf(2)];
    for (let i = 0; i < COUNT; i++) {
      assert.equal(await ask({ ...target, localAddress: other }), '2');
    }
    process.kill(workers[0].pid, 'SIGCONT');
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['1']));
  });

  test('hinders nobody, however many clients of a frozen worker come', async (t) => {
    const { workers, target } = await startWorkers(t, { settings });
    const before = await owners(target);
    const localAddress = clients[before.indexOf(1)];
    const other = clients[before.indexOf(2)];
    await stop(workers[0].pid);
    const waiting = Array.from({ length: 150 }, () => ask({ ...target, localAddress }));
    for (let i = 0; i < COUNT; i++) {
      assert.equal(await ask({ ...target, localAddress: other }), '2');
    }
    process.kill(workers[0].pid, 'SIGCONT');
    await Promise.all(waiting);
  });
});

describe('a function', () => {
  /** Starts the fixture and waits until all workers listen. */
  async function startPolicy(t, name, as = 'setting', workers = 2) {
    const program = start(t, fixture('policy.js'), { args: [name, as, `${workers}`] });
    const { pid } = await program.next('primary');
    const listening = [];
    for (let count = workers; count > 0; count--) listening.push(await program.next('listening'));
    listening.sort((one, other) => one.worker - other.worker);
    return { program, pid, workers: listening, target: { port: listening[0].port } };
  }

  /** The workers that answer a number of clients at once. */
  async function who(target) {
    const answers = await Promise.all(Array.from({ length: COUNT }, () => ask(target)));
    return new Set(answers);
  }

  for (const as of ['setting', 'property']) {
    test(`decides, given as a ${as}`, async (t) => {
      const { target } = await startPolicy(t, 'last', as);
      // The last one that listens is one and the same; which one it is depends on the start.
      assert.deepEqual(await who(target), new Set(['2']));
    });
  }

  test('is told both ends of the connection and the workers that listen', async (t) => {
    const { program, target } = await startPolicy(t, 'arguments');
    const localPort = await new Promise((resolve, reject) => {
      const socket = net.connect({ ...target, host: '127.0.0.1' }, () => resolve(socket.localPort));
      socket.on('error', reject).end('0 answer\n').resume();
    });
    const { connection, ids, are } = await program.next('asked');
    assert.deepEqual(connection, {
      remoteAddress: '127.0.0.1',
      remotePort: localPort,
      localAddress: '127.0.0.1',
      localPort: target.port,
    });
    assert.deepEqual(ids, [1, 2]);
    assert.equal(are, true);
  });

  for (const name of ['undefined', 'none', 'nonsense', 'promise']) {
    test(`that names no worker leaves it to the round: ${name}`, async (t) => {
      const started = await startPolicy(t, name);
      const answers = await inTurn(started, 4);
      assert.deepEqual([...answers].sort(), [1, 1, 2, 2]);
    });
  }

  test('that names a worker that is gone leaves it to the others', async (t) => {
    const { program, workers, target } = await startPolicy(t, 'gone');
    process.kill(workers[0].pid, 'SIGKILL');
    await program.next('exit');
    assert.deepEqual(await who(target), new Set(['2']));
  });

  test('that throws is an uncaught exception, and the connection is served', async (t) => {
    const { program, target } = await startPolicy(t, 'throws');
    await who(target);
    for (let i = 0; i < COUNT; i++) {
      assert.equal((await program.next('uncaught')).message, 'no worker is good enough');
    }
  });

  test('that names a frozen worker hinders nobody but its clients', async (t) => {
    const { workers, target } = await startPolicy(t, 'last', 'setting', 3);
    await stop(workers[2].pid);
    const waiting = Array.from({ length: 24 }, () => ask(target));
    process.kill(workers[2].pid, 'SIGCONT');
    await Promise.all(waiting);
  });

  test('leaves a connection to another when its worker dies with it unread', async (t) => {
    const { workers, target } = await startPolicy(t, 'last', 'setting', 3);
    await stop(workers[2].pid);
    const waiting = Array.from({ length: 24 }, () => ask(target));
    process.kill(workers[2].pid, 'SIGKILL');
    const answers = await Promise.all(waiting);
    assert.ok(!answers.includes('3'));
  });
});

describe('settings', () => {
  /** Tries settings one after the other in one program, and returns what it has printed. */
  async function tried(t, attempts, options) {
    const args = attempts.map((attempt) => JSON.stringify(attempt));
    const program = start(t, fixture('settings.js'), { ...options, args });
    const results = [];
    while (results.length < attempts.length) results.push(await program.next('tried'));
    assert.equal((await program.exit).code, 0);
    return results;
  }

  test('take names, and the numbers of the builtin', async (t) => {
    const names = ['rr', 'none', 'least-connections', 'ip-hash', 1, 2];
    const asProperty = names.map((policy) => ({ policy }));
    const asSetting = names.map((scheduling) => ({ settings: { scheduling } }));
    const expected = [2, 1, 'least-connections', 'ip-hash', 1, 2];
    const policies = (results) => results.map(({ policy }) => policy);
    assert.deepEqual(policies(await tried(t, asSetting)), expected);
    for (const [i, attempt] of asProperty.entries()) {
      const [{ policy }] = await tried(t, [attempt]);
      assert.ok(policy === names[i] || policy === expected[i], `${names[i]} has become ${policy}`);
    }
  });

  test('refuse an unknown policy and list those that there are', async (t) => {
    const unknown = ['fastest', '', 3, true, { the: 'symbol' }, {}, 'RR'];
    const attempts = unknown.map((scheduling) => ({ settings: { scheduling } }));
    for (const { name, code, message } of await tried(t, attempts)) {
      assert.deepEqual([name, code], ['TypeError', 'ERR_INVALID_ARG_VALUE']);
      const allowed = "'rr', 'none', 'least-connections', 'ip-hash', or a function";
      assert.ok(message.includes(`'options.scheduling' must be one of: ${allowed}.`), message);
    }
    const [{ code, message }] = await tried(t, [{ policy: 'fastest' }]);
    assert.equal(code, 'ERR_INVALID_ARG_VALUE');
    assert.match(message, /'cluster\.schedulingPolicy' must be one of: .* Received 'fastest'/);
  });

  test('refuse times that are none, and keep what was before', async (t) => {
    const wrong = {
      handoffTimeout: [0, -1, '5', null, { the: 'NaN' }, { the: 'Infinity' }, {}],
      listenerLinger: [-1, '5', null, { the: 'NaN' }, { the: 'Infinity' }, {}],
    };
    for (const [setting, values] of Object.entries(wrong)) {
      const attempts = values.map((value) => ({ settings: { [setting]: value } }));
      const results = await tried(t, [...attempts, { settings: {} }]);
      const last = results.pop();
      for (const { code, message } of results) {
        assert.equal(code, 'ERR_INVALID_ARG_VALUE');
        assert.match(
          message,
          new RegExp(`'options\\.${setting}' must be a number of milliseconds`),
        );
      }
      assert.equal(last.policy, 2);
    }
  });

  test('take times from the smallest to the largest', async (t) => {
    const attempts = [
      { handoffTimeout: 0.001, listenerLinger: 0 },
      { handoffTimeout: 1e12, listenerLinger: 1e12 },
      { handoffTimeout: Number.MAX_VALUE, listenerLinger: Number.MAX_VALUE },
      { handoffTimeout: { the: 'undefined' }, listenerLinger: { the: 'undefined' } },
    ];
    const results = await tried(
      t,
      attempts.map((settings) => ({ settings })),
    );
    assert.deepEqual(
      results.map(({ policy }) => policy),
      [2, 2, 2, 2],
    );
  });

  for (const [value, policy] of Object.entries({
    rr: 2,
    none: 1,
    'least-connections': 'least-connections',
    'ip-hash': 'ip-hash',
  })) {
    test(`NODE_CLUSTER_SCHED_POLICY may be ${value}`, async (t) => {
      const env = { NODE_CLUSTER_SCHED_POLICY: value };
      assert.deepEqual(await tried(t, [{}], { env }), [{ event: 'tried', policy }]);
    });
  }

  test('NODE_CLUSTER_SCHED_POLICY that is unknown is ignored with a warning', async (t) => {
    const options = {
      env: { NODE_CLUSTER_SCHED_POLICY: 'fastest' },
      stderr: /'fastest' and is ignored; known are rr, none, least-connections, ip-hash\n/,
    };
    assert.deepEqual(await tried(t, [{}], options), [{ event: 'tried', policy: 2 }]);
  });

  test('with the largest handoff timeout connections are still served', async (t) => {
    const settings = { handoffTimeout: Number.MAX_VALUE, listenerLinger: Number.MAX_VALUE };
    const { program, pid, workers, target } = await startWorkers(t, { settings, signal: 'fork' });
    await Promise.all(Array.from({ length: COUNT }, () => ask(target)));
    process.kill(workers[0].pid, 'SIGKILL');
    await program.next('disconnect');
    process.kill(pid, 'SIGUSR2');
    await program.next('listening');
    await Promise.all(Array.from({ length: COUNT }, () => ask(target)));
  });
});

describe('what a program sees of a worker', () => {
  test('`turns` grows when it is nudged, and not while it is blocked', async (t) => {
    const { program, pid, target } = await startWorkers(t, { signal: 'turns' });
    const turns = async () => {
      process.kill(pid, 'SIGUSR2');
      return (await program.next('turns')).turns;
    };
    const { command, release } = holder(t);
    const slow = ask(target, command);
    const { worker } = await program.next('request');
    const before = (await turns())[worker - 1];
    assert.ok(before > 0);
    assert.equal((await turns())[worker - 1], before);
    release();
    await slow;
    await until(async () => (await turns())[worker - 1] > before);
  });

  test('`connections` counts what is open, whoever closes it', async (t) => {
    const started = await startWorkers(t, { workers: 1, signal: 'settle' });
    const { program, pid, target } = started;
    const openNow = (count) => until(async () => `${await settle(pid, program)}` === `${count}`);
    await openNow(0);
    const guests = [await guest(target), await guest(target), await guest(target)];
    await openNow(3);
    guests[0].socket.destroy();
    guests[1].socket.end();
    await openNow(1);
    await ask(target);
    await openNow(1);
    guests[2].socket.resetAndDestroy();
    await openNow(0);
  });
});
