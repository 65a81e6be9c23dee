'use strict';

// express-redis-session.js, with a real Redis.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const { describe, test } = require('node:test');

const { until } = require('./helpers/connections');
const { WORKERS, endsCleanly, listening, run } = require('./helpers/example');
const { startRedis, whyNoRedis } = require('./helpers/redis');

const NAME = 'express-redis-session.js';

describe('with Redis', { skip: whyNoRedis() }, () => {
  test('a session goes on with other workers, after a killed one, and over a reload', async (t) => {
    const { url: REDIS_URL } = await startRedis(t);
    const killed =
      /^\[rust-cluster\] worker \d+ \(pid \d+\) ended unexpectedly after [^\n]*: SIGKILL.*\n.*\n$/;
    const example = run(t, NAME, { env: { REDIS_URL }, stderr: killed });
    const { url, workers } = await listening(example);
    await example.line(/^\d+ workers; reload them with: kill -HUP \d+$/);
    const session = new Session(url);

    await session.visitsTo(workers);
    const [victim] = workers;
    process.kill(victim.pid, 'SIGKILL');
    const successor = await nextWorker(example);
    assert.equal(successor.id, victim.id);
    await session.visitsTo([successor]);

    example.kill('SIGHUP');
    // The visits go on meanwhile, and are answered by whoever is there.
    const reloaded = listening(example);
    let isDone = false;
    reloaded.finally(() => (isDone = true));
    do await session.visit();
    while (!isDone);
    await session.visitsTo((await reloaded).workers);

    assert.ok(session.visits >= 2 * WORKERS + 1);
    const other = new Session(url);
    assert.equal((await other.visit()).number, 1);
    example.ctrlC();
    await endsCleanly(example);
  });

  test('it says so while Redis is away, and goes on when that is back', async (t) => {
    const redis = await startRedis(t);
    const example = run(t, NAME, { env: { REDIS_URL: redis.url } });
    const { url } = await listening(example);
    const session = new Session(url);
    await session.visit();

    await redis.stop();
    await until(async () => (await session.ask()).status === 503);
    assert.equal((await session.ask()).text, 'Redis is not reachable.\n');
    await redis.start();
    await until(async () => (await session.ask()).status === 200);
    example.kill('SIGTERM');
    await endsCleanly(example);
  });

  test('it says once that its port is taken, and ends', async (t) => {
    const { url: REDIS_URL } = await startRedis(t);
    const other = net.createServer().listen(0);
    await once(other, 'listening');
    t.after(() => other.close());
    const { port } = other.address();
    const stderr = new RegExp(`^Cannot listen on port ${port}: it is in use\\. .*\\n$`);
    const { code } = await run(t, NAME, { env: { PORT: port, REDIS_URL }, stderr }).exit;
    assert.equal(code, 1);
  });
});

test('it says that there is no Redis, without telling the password, and ends', async (t) => {
  for (const [REDIS_URL, why] of [
    // Nobody listens on port 1.
    ['redis://me:secret@127.0.0.1:1', 'redis://127\\.0\\.0\\.1:1: ECONNREFUSED'],
    ['unix:///nowhere/socket', 'unix:///nowhere/socket: ENOENT'],
    ['localhost:6379', 'localhost:6379: .*protocol.*'],
  ]) {
    const stderr = new RegExp(`^Redis is not reachable at ${why}\\.\\nStart it .*\\n$`, 'i');
    const { code, stdout } = await run(t, NAME, { env: { REDIS_URL }, stderr }).exit;
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
  }
});

/** A client that keeps its cookie, and counts for itself. */
class Session {
  visits = 0;
  #cookie = '';
  #url;

  constructor(url) {
    this.#url = url;
  }

  async ask() {
    const headers = { connection: 'close', cookie: this.#cookie };
    const response = await fetch(this.#url, { headers });
    this.#cookie = response.headers.get('set-cookie')?.split(';')[0] ?? this.#cookie;
    return { status: response.status, text: await response.text() };
  }

  async visit() {
    const { text } = await this.ask();
    const [, number, pid] = /^Visit (\d+), answered by worker \d+ \(pid (\d+)\)\n$/.exec(text);
    this.visits++;
    assert.equal(Number(number), this.visits);
    return { number: Number(number), pid: Number(pid) };
  }

  /** Visits until each of these workers has answered. */
  async visitsTo(workers) {
    const waiting = new Set(workers.map(({ pid }) => pid));
    while (waiting.size > 0) waiting.delete((await this.visit()).pid);
  }
}

async function nextWorker(example) {
  const [, id, pid] = await example.line(/^worker (\d+) \(pid (\d+)\) on /);
  return { id, pid: Number(pid) };
}
