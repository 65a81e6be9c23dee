'use strict';

// Reloads under load, for what is built on Node's servers and for all that these speak: whatever
// the clients do, and however the answers are made, none of their requests fails.

const assert = require('node:assert');
const http2 = require('node:http2');
const { test } = require('node:test');

const { io } = require('socket.io-client');

const { load, supervised, untilStopped } = require('./helpers/supervised.js');

const RELOADS = 3;

for (const framework of ['express', 'koa', 'fastify']) {
  test(`${framework}: reloads under load lose no request`, async (t) => {
    const app = await start(t, { app: 'frameworks.js', env: { FRAMEWORK: framework } });
    const { port } = app;
    await reloadUnder(app, [
      load(port, { keepAlive: 4, oneShot: 2 }),
      load(port, { keepAlive: 2, oneShot: 1, path: '/streamed' }),
      load(port, { keepAlive: 2, oneShot: 1, body: JSON.stringify({ text: 'x'.repeat(1000) }) }),
    ]);
  });
}

test('https: reloads under load lose no request', async (t) => {
  const app = await start(t, { app: 'protocols.js', env: { PROTOCOL: 'https' } });
  await reloadUnder(app, [load(app.port, { keepAlive: 4, oneShot: 2, tls: true })]);
});

for (const [protocol, scheme] of [
  ['http2', 'http'],
  ['http2s', 'https'],
]) {
  test(`HTTP/2 (${scheme}): reloads under load lose no request`, async (t) => {
    const app = await start(t, { app: 'protocols.js', env: { PROTOCOL: protocol } });
    const authority = `${scheme}://127.0.0.1:${app.port}`;
    const oneByOne = http2Load(authority, { clients: 3, streams: 1 });
    const many = http2Load(authority, { clients: 2, streams: 3 });
    await reloadUnder(app, [oneByOne, many]);
    assert.strictEqual(oneByOne.result.refused, 0);
  });
}

test('socket.io: clients move on at a reload, and what they ask for is answered', async (t) => {
  const app = await start(t, { app: 'frameworks.js', env: { FRAMEWORK: 'socket.io' } });
  const sockets = socketLoad(app.port, 4);
  await reloadUnder(app, [sockets, load(app.port, { keepAlive: 2, oneShot: 1 })], async () => {
    const { workers } = await app.tell('status');
    const pids = new Set(workers.map(({ pid }) => pid));
    // Each client is with a worker that is to stay.
    for (const pid of await sockets.ask()) assert.ok(pids.has(pid));
  });
});

async function start(t, settings) {
  // Clients that are never idle are never waited for; on a crowded machine they may seem to be.
  const app = await supervised(t, { workers: 2, keepAliveGrace: 5000 }, settings);
  await app.program.next('running');
  return app;
}

/** Reloads under these loads, and sees that nothing failed and that many workers had a part in it. */
async function reloadUnder({ program, tell }, loads, check = () => {}) {
  for (let count = 0; count < RELOADS; count++) await tell('reload');
  await check();
  for (const each of loads) {
    const { answered, failures, workers } = await each.stop();
    assert.deepStrictEqual(failures, []);
    assert.ok(workers.size > RELOADS, `only ${workers.size} workers`);
    assert.ok(answered > 10 * RELOADS, `only ${answered} answers`);
  }
  await tell('stop');
  assert.strictEqual((await program.exit).code, 0);
}

/**
 * Clients with a session each, and so many requests at a time on it. One that is told that the
 * server goes makes another session. What was on its way then is refused, which means that the
 * server has not looked at it, and sent again, as browsers and proxies do.
 */
function http2Load(authority, { clients, streams }) {
  const result = { answered: 0, refused: 0, failures: [], workers: new Set() };
  const fail = ({ code, message }) => {
    if (message.endsWith('NGHTTP2_REFUSED_STREAM')) result.refused++;
    else result.failures.push(`${code} ${message}`);
  };

  const client = async (isOver) => {
    let session;
    const connected = () => {
      if (!session || session.closed || session.destroyed) {
        session = http2.connect(authority, { rejectUnauthorized: false }).on('error', fail);
      }
      return session;
    };
    const askAgain = async () => {
      while (!isOver()) {
        try {
          const stream = connected().request({ ':path': '/' });
          let body = '';
          for await (const part of stream.setEncoding('utf8')) body += part;
          result.workers.add(JSON.parse(body).pid);
          result.answered++;
        } catch (error) {
          fail(error);
        }
      }
    };
    await Promise.all(Array.from({ length: streams }, askAgain));
    session.close();
  };
  return untilStopped(result, Array(clients).fill(client));
}

/**
 * Clients of socket.io. What is on its way when a connection ends is sent again, because they have
 * `retries`: without it nobody knows whether the server had got it.
 */
function socketLoad(port, clients) {
  let stopped = false;
  const result = { answered: 0, failures: [], workers: new Set() };
  const sockets = Array.from({ length: clients }, () =>
    io(`http://127.0.0.1:${port}`, {
      forceNew: true,
      transports: ['websocket'],
      retries: 5,
      ackTimeout: 10_000,
      reconnectionDelay: 10,
    }),
  );
  const client = async (socket) => {
    while (!stopped) {
      try {
        result.workers.add(await socket.emitWithAck('who'));
        result.answered++;
      } catch ({ message }) {
        result.failures.push(message);
      }
    }
    socket.disconnect();
  };
  const running = sockets.map(client);
  return {
    /** The worker that each of them talks to. */
    ask: () => Promise.all(sockets.map((socket) => socket.emitWithAck('who'))),
    async stop() {
      stopped = true;
      await Promise.all(running);
      return result;
    },
  };
}
