'use strict';

// The examples, run as a user runs them: what they show must be true.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const test = require('node:test');
const cluster = require('rust-cluster');
const { WORKERS, ask, endsCleanly, listening, run, workerIn } = require('./helpers/example');

const SERVERS = [
  'start.js',
  'express.js',
  'koa.js',
  'fastify.js',
  'message-counter.js',
  'respawn.js',
  'supervise.js',
];

for (const name of SERVERS) {
  test(`${name} serves from every worker, and Ctrl-C ends it cleanly`, async (t) => {
    const example = run(t, name);
    const { url, workers } = await listening(example);

    // As long as it asks by itself, all of ours may reach the same worker.
    if (name === 'start.js') await example.line(/^Ctrl-C stops the server\.$/);
    const seen = new Set();
    for (let i = 0; i < 4 * WORKERS; i++) seen.add(workerIn(await ask(url)));
    assert.deepEqual(seen, new Set(workers.map(({ id }) => id)));

    example.ctrlC();
    await endsCleanly(example);
  });

  test(`${name} ends cleanly at SIGTERM`, async (t) => {
    const example = run(t, name);
    await listening(example);
    example.kill('SIGTERM');
    await endsCleanly(example);
  });
}

for (const name of [...SERVERS, 'slow-fast.js']) {
  test(`${name} says once that its port is taken, and ends`, async (t) => {
    const other = net.createServer().listen(0);
    await once(other, 'listening');
    t.after(() => other.close());
    const { port } = other.address();

    const message = `^Cannot listen on port ${port}: it is in use\\. Choose another: PORT=.*\\n$`;
    const example = run(t, name, { env: { PORT: port }, stderr: new RegExp(message) });
    const { code, stdout } = await example.exit;
    assert.equal(code, 1);
    assert.equal(stdout, '');
  });
}

test('an example ends at Ctrl-C though a client keeps its connection open', async (t) => {
  const example = run(t, 'express.js');
  const { url } = await listening(example);

  // Nothing is sent on it, as on those that a browser opens in advance.
  const client = net.connect(new URL(url).port, 'localhost');
  t.after(() => client.destroy());
  await once(client, 'connect');
  // It ends in one way or the other.
  client.on('error', () => {});
  example.ctrlC();
  await endsCleanly(example);
});

test('an example says what is wrong with a port that is no port', async (t) => {
  for (const PORT of ['http', '-1', '65536', '80.5']) {
    const message = `^PORT must be a whole number from 0 to 65535, not '${PORT}'\\.\\n$`;
    for (const name of ['start.js', 'supervise.js']) {
      const { exit } = run(t, name, { env: { PORT }, stderr: new RegExp(message) });
      assert.equal((await exit).code, 1);
    }
  }
});

test('npm start runs start.js', () => {
  assert.equal(require('../package.json').scripts.start, 'node examples/start.js');
});

test('start.js shows how many requests each worker answered, and stays up', async (t) => {
  const example = run(t, 'start.js');
  const { url, workers } = await listening(example);

  const [, requests] = await example.line(/^(\d+) requests, each on a new connection:$/);
  let sum = 0;
  for (const { id, pid } of workers) {
    const answer = `Hello from worker ${id} \\(pid ${pid}\\)`;
    const [, count] = await example.line(new RegExp(`^ +(\\d+) × ${answer}$`));
    assert.ok(Number(count) > 0);
    sum += Number(count);
  }
  assert.equal(sum, Number(requests));

  await example.line(/^Ctrl-C stops the server\.$/);
  assert.match(await ask(url), /^Hello from worker \d+ \(pid \d+\)\n$/);
});

test('message-counter.js counts each request once, and every worker knows the total', async (t) => {
  const example = run(t, 'message-counter.js');
  const { url, workers } = await listening(example);

  let known = 0;
  for (const requests of [10, 40]) {
    await Promise.all(Array.from({ length: requests }, () => ask(url)));
    known += requests;
    // The messages are on their way: ask, without being counted, until they have arrived.
    const agreeing = new Set();
    while (agreeing.size < workers.length) {
      const answer = await ask(`${url}/total`);
      const total = Number(/knows of (\d+) requests/.exec(answer)[1]);
      assert.ok(total <= known, answer);
      if (total === known) agreeing.add(workerIn(answer));
    }
  }
});

test('respawn.js replaces a worker that was killed, and the new one serves', async (t) => {
  const example = run(t, 'respawn.js');
  const { url, workers } = await listening(example);

  const [{ id, pid }] = workers;
  process.kill(pid, 'SIGKILL');
  await example.line(new RegExp(`^worker ${id} \\(pid ${pid}\\) died: SIGKILL$`));

  const replacement = String(WORKERS + 1);
  await example.line(new RegExp(`^worker ${replacement} \\(pid \\d+\\) on ${url}$`));
  const seen = new Set();
  while (!seen.has(replacement)) seen.add(workerIn(await ask(url)));
  assert.ok(!seen.has(id));
});

test('respawn.js gives up when workers keep dying', async (t) => {
  const example = run(t, 'respawn.js');
  const { url } = await listening(example);

  const deaths = WORKERS + 5;
  for (let i = 1; i <= deaths; i++) {
    await ask(`${url}/crash`);
    await example.line(/^worker \d+ \(pid \d+\) died: code 1$/);
    if (i < deaths) await example.line(/^worker \d+ \(pid \d+\) on /);
  }
  await example.line(new RegExp(`^${deaths} workers died within \\d+ seconds: giving up$`));
  assert.equal((await example.exit).code, 1);
});

test('supervise.js has a leader, and replaces its workers on SIGHUP', async (t) => {
  const example = run(t, 'supervise.js');
  const before = await listening(example);
  assert.equal(await ask(`${before.url}/ready`), 'OK');
  await example.line(new RegExp(`^${WORKERS} workers; reload .*: kill -HUP ${example.pid}$`));
  await example.line(/^worker \d+ looks after the jobs$/);

  example.kill('SIGHUP');
  const after = await listening(example);
  await example.line(/^worker \d+ looks after the jobs$/);
  const old = new Set(before.workers.map(({ pid }) => pid));
  for (const { pid } of after.workers) assert.ok(!old.has(pid));
  // Of the last slot the new worker serves beside the old one until that has gone.
  while (/\(pid (\d+)\)/.exec(await ask(after.url))[1] !== `${after.workers.at(-1).pid}`);

  example.kill('SIGTERM');
  await endsCleanly(example);
});

test('slow-fast.js answers /fast at once while another worker is blocked', async (t) => {
  const { stdout } = await endsCleanly(run(t, 'slow-fast.js'));

  const [beforeSlow] = stdout.split(/^\/slow answered/m);
  assert.match(beforeSlow, /^\/fast answered by worker \d+ after \d+ ms$/m);

  // Node's own cluster gives one request in so many to the worker that is blocked.
  if (cluster.native) {
    const [, slow, n, fast] = /\/slow took (\d+) ms.* of (\d+) \/fast (\d+) ms/.exec(stdout);
    assert.ok(Number(n) > 5, stdout);
    assert.ok(Number(fast) < Number(slow) / 3, stdout);
  }
});

test('slow-fast.js can be interrupted', async (t) => {
  const example = run(t, 'slow-fast.js');
  await example.line(/^\/fast answered/);
  example.ctrlC();
  await endsCleanly(example);
});
