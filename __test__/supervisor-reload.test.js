'use strict';

// Reloads: not one request is lost, and a version that does not come up changes nothing.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { load, request, supervised } = require('./helpers/supervised.js');
const { temporary } = require('./helpers/temporary.js');

test('ten reloads in a row under load lose no request', async (t) => {
  const { port, program, tell } = await supervised(t, { workers: 2 });
  await program.next('running');
  const { stop } = load(port, { keepAlive: 8, oneShot: 4 });
  for (let count = 1; count <= 10; count++) {
    const { generation, ready } = await tell('reload');
    assert.deepStrictEqual({ generation, ready }, { generation: count + 1, ready: 2 });
  }
  const { answered, failures, workers } = await stop();
  assert.deepStrictEqual(failures, []);
  assert.ok(answered > 100, `only ${answered} answers`);
  assert.ok(workers.size > 10, `only ${workers.size} workers`);
  await tell('stop');
  assert.strictEqual((await program.exit).code, 0);
});

for (const [version, code] of [
  ['throws', 'ERR_WORKER_EXITED'],
  ['silent', 'ERR_WORKER_NOT_READY'],
]) {
  test(`a reload to a version that ${version === 'silent' ? 'is silent' : version} keeps the old one`, async (t) => {
    const file = temporaryFile(t, 'good');
    const { port, program, tell } = await supervised(
      t,
      { workers: 2, listenTimeout: 1500 },
      { env: { VERSION_FILE: file }, stderr: /^$|this version is broken/ },
    );
    await program.next('running');
    const before = await workersAt(port, 2);

    fs.writeFileSync(file, version);
    await assert.rejects(tell('reload'), { code });
    const { error, generation } = await program.next('reloadFailed');
    assert.strictEqual(generation, 2);
    assert.strictEqual(error.code, code);
    if (version === 'throws') {
      assert.strictEqual(error.exit.code, 1);
      assert.match(error.exit.stderr.join('\n'), /this version is broken/);
    }
    assert.deepStrictEqual(await workersAt(port, 2), before);
    const { workers } = await tell('status');
    assert.deepStrictEqual(
      workers.map(({ slot, state }) => [slot, state]),
      [
        [0, 'ready'],
        [1, 'ready'],
      ],
    );

    fs.writeFileSync(file, 'better');
    await tell('reload');
    assert.strictEqual(JSON.parse((await request({ port })).body).version, 'better');
    await tell('stop');
  });
}

test('reloads that are asked for during a reload become one', async (t) => {
  const { program, tell } = await supervised(t, { workers: 1 });
  await program.next('running');
  const first = tell('reload');
  await program.next('reload');
  const [second, third] = await Promise.all([tell('reload'), tell('reload')]);
  assert.strictEqual((await first).generation, 2);
  assert.deepStrictEqual([second.generation, third.generation], [3, 3]);
  await tell('stop');
});

test('a reload that is interrupted by a stop says so', async (t) => {
  const file = temporaryFile(t, 'good');
  const { program } = await supervised(t, { workers: 1 }, { env: { VERSION_FILE: file } });
  await program.next('running');
  fs.writeFileSync(file, 'silent');
  program.kill('SIGHUP');
  // The new one never is ready.
  while ((await program.next('start')).generation < 2);
  program.kill('SIGTERM');
  const { error } = await program.next('reloadFailed');
  assert.strictEqual(error.code, 'ERR_SUPERVISOR_STOPPED');
  assert.match(error.message, /^The supervisor is stopping/);
  assert.strictEqual((await program.exit).code, 0);
});

test('with parallel, so many workers start at a time', async (t) => {
  const { program, tell } = await supervised(t, { workers: 4, readyOn: 'online' });
  await program.next('running');
  await tell('reload?parallel=4');
  const events = program.stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
    .filter(({ generation }) => generation === 2)
    .map(({ event }) => event);
  assert.deepStrictEqual(events.slice(0, 5), ['reload', 'start', 'start', 'start', 'start']);
  await tell('stop');
});

/** A file with that content, which is gone when the test is over. */
function temporaryFile(t, content) {
  const file = path.join(temporary(t), 'version');
  fs.writeFileSync(file, content);
  return file;
}

/** The processes that answer, when there are so many. */
async function workersAt(port, count) {
  const pids = new Set();
  while (pids.size < count) pids.add(JSON.parse((await request({ port })).body).pid);
  return [...pids].sort();
}
