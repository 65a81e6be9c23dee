'use strict';

// Workers that hang, and workers that have served long enough.

const assert = require('node:assert');
const { describe, test } = require('node:test');

const { limitsOf } = require('../lib/supervisor/recycle.js');
const { request, supervised } = require('./helpers/supervised.js');

describe('a hung worker', () => {
  test('is reported with its stack, killed and replaced', async (t) => {
    const { port, program, tell, until } = await supervised(
      t,
      { workers: 2, hangTimeout: 500, backoffMin: 10 },
      { stderr: /^$|Debugger listening/ },
    );
    await program.next('running');
    const hung = request({ port, path: '/hang' }).catch(({ code }) => code);
    const { pid, slot } = await program.next('hanging');
    // Meanwhile the other one answers.
    assert.notStrictEqual(JSON.parse((await request({ port })).body).pid, pid);

    const hang = await program.next('hang');
    assert.deepStrictEqual([hang.pid, hang.slot], [pid, slot]);
    assert.ok(hang.ms >= 500, `after ${hang.ms} ms`);
    assert.match(hang.stack, /^ {4}at hang \(.*app\.js:\d+:\d+\)$/m);
    assert.strictEqual(await hung, 'ECONNRESET');
    const exit = await program.next('exit');
    assert.deepStrictEqual(
      [exit.pid, exit.signal, exit.expected, exit.reason],
      [pid, 'SIGKILL', false, 'hang'],
    );
    await until('ready', (ready) => ready.slot === slot && ready.pid !== pid);
    await tell('stop');
  });

  test('is not one that only waits, nor all of them after the primary was blocked', async (t) => {
    const limits = { hangTimeout: 250, maxAge: 1500, checkInterval: 100 };
    const { program, tell } = await supervised(t, { workers: 2, ...limits });
    await program.next('running');
    // Longer than the timeout; no worker has anything to do.
    await tell('block?ms=700');
    // Then some more time passes.
    await program.next('recycle');
    assert.ok(!program.stdout.includes('"hang"'), program.stdout);
    await tell('stop');
  });
});

describe('recycling', () => {
  test('by memory', async (t) => {
    const { port, program, tell, until } = await supervised(t, {
      workers: 1,
      maxMemory: '200M',
      checkInterval: 50,
      jitter: 0,
    });
    await program.next('running');
    const { pid } = JSON.parse((await request({ port })).body);
    await request({ port, path: '/grow?megabytes=250' });
    const recycle = await program.next('recycle');
    assert.deepStrictEqual(
      [recycle.pid, recycle.reason, recycle.limit],
      [pid, 'memory', 200 * 1024 ** 2],
    );
    assert.ok(recycle.value > recycle.limit);
    const exit = await program.next('exit');
    assert.deepStrictEqual([exit.pid, exit.expected, exit.reason], [pid, true, 'memory']);
    // The new one was ready before that.
    await until('ready', (ready) => ready.pid !== pid);
    await tell('stop');
  });

  test('by connections', async (t) => {
    const { port, program, tell } = await supervised(t, {
      workers: 1,
      maxConnections: 3,
      jitter: 0,
    });
    await program.next('running');
    const { pid } = JSON.parse((await request({ port })).body);
    await request({ port });
    await request({ port });
    const { reason, value, limit } = await program.next('recycle');
    assert.deepStrictEqual({ reason, value, limit }, { reason: 'connections', value: 3, limit: 3 });
    assert.strictEqual((await program.next('exit')).pid, pid);
    await tell('stop');
  });

  test('by age', async (t) => {
    const { program, tell } = await supervised(t, {
      workers: 1,
      maxAge: 200,
      checkInterval: 20,
      jitter: 0,
    });
    const { pid } = await program.next('ready');
    const { reason, value } = await program.next('recycle');
    assert.strictEqual(reason, 'age');
    assert.ok(value >= 200);
    assert.strictEqual((await program.next('exit')).pid, pid);
    await tell('stop');
  });

  test('does not come to all workers at once', () => {
    const numbers = [0, 0.5, 0.999];
    const random = () => numbers.shift() ?? 0;
    const options = { maxMemory: 1000, maxAge: 2000, maxConnections: 300, jitter: 0.1, random };
    assert.deepStrictEqual(limitsOf(options), { memory: 1000, age: 1900, connections: 270 });
    assert.deepStrictEqual(limitsOf({ ...options, maxConnections: 0, jitter: 0 }), {
      memory: 1000,
      age: 2000,
      connections: 0,
    });
  });
});
