'use strict';

// A worker that is told to go: what becomes of its connections.

const assert = require('node:assert');
const { once } = require('node:events');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const net = require('node:net');
const path = require('node:path');
const { describe, test } = require('node:test');

const { start } = require('./helpers/program.js');
const { request, supervised } = require('./helpers/supervised.js');

/** One worker; the clients below are its own. */
async function oneWorker(t, options, settings) {
  const app = await supervised(t, { workers: 1, ...options }, settings);
  await app.program.next('running');
  return app;
}

const keptAlive = (t) => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  return agent;
};

describe('HTTP/1', () => {
  test('a response in flight ends, with Connection: close', async (t) => {
    const { port, program, tell } = await oneWorker(t);
    const slow = request({ port, path: '/slow', agent: keptAlive(t) });
    await program.next('slow');
    const reloaded = tell('reload');
    const { body, headers } = await slow;
    assert.strictEqual(body, 'slow');
    assert.strictEqual(headers.connection, 'close');
    await reloaded;
    await tell('stop');
  });

  test('a response that has begun ends whole', async (t) => {
    const { port, program, tell } = await oneWorker(t);
    const stream = request({ port, path: '/stream', agent: keptAlive(t) });
    await program.next('stream');
    const reloaded = tell('reload');
    const { body, socket } = await stream;
    assert.strictEqual(body, 'begin end');
    if (!socket.destroyed) await once(socket, 'close');
    await reloaded;
    await tell('stop');
  });

  test('headers in which the app insists on keep-alive are corrected', async (t) => {
    const { port, program, tell } = await oneWorker(t, { keepAliveGrace: 60_000 });
    const agent = keptAlive(t);
    const before = await request({ port, path: '/insistent', agent });
    assert.strictEqual(before.headers.connection, 'keep-alive');
    const reloaded = tell('reload');
    await program.next('draining');
    const after = await request({ port, path: '/insistent', agent });
    assert.strictEqual(after.headers.connection, 'close');
    assert.strictEqual(after.headers['x-other'], 'kept');
    assert.strictEqual(after.socket.localPort ?? before.socket.localPort, before.socket.localPort);
    await reloaded;
    await tell('stop');
  });

  test('an idle connection is closed at once', async (t) => {
    const { port, tell } = await oneWorker(t, { keepAliveGrace: 0, killTimeout: 60_000 });
    const agent = keptAlive(t);
    const { socket } = await request({ port, agent });
    const closed = once(socket, 'close');
    await tell('reload');
    await closed;
    await tell('stop');
  });

  test('one that was used just now may be used once more', async (t) => {
    const { port, program, tell } = await oneWorker(t, { keepAliveGrace: 60_000 });
    const agent = keptAlive(t);
    const first = JSON.parse((await request({ port, agent })).body);
    const reloaded = tell('reload');
    await program.next('draining');
    const { body, headers } = await request({ port, agent });
    assert.strictEqual(JSON.parse(body).pid, first.pid);
    assert.strictEqual(headers.connection, 'close');
    const { pid } = JSON.parse((await request({ port, agent })).body);
    assert.notStrictEqual(pid, first.pid);
    await reloaded;
    await tell('stop');
  });

  test('requests sent without waiting are all answered', async (t) => {
    const { port, program, tell } = await oneWorker(t);
    const socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
    let received = '';
    socket.on('data', (text) => (received += text));
    const get = (path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    socket.write(get('/insistent') + get('/slow') + get('/slow'));
    await program.next('slow');
    await program.next('slow');
    const reloaded = tell('reload');
    await once(socket, 'close');
    assert.strictEqual(received.match(/HTTP\/1\.1 200 OK/g).length, 3);
    assert.strictEqual(received.match(/connection: close/gi).length, 1);
    await reloaded;
    await tell('stop');
  });

  test('a connection without a request does not keep the worker', async (t) => {
    const { port, tell } = await oneWorker(t, { keepAliveGrace: 10, killTimeout: 60_000 });
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    // Until it is known to the worker: connections are given out in their order.
    await request({ port });
    const closed = once(socket.resume(), 'close');
    await tell('reload');
    await closed;
    await tell('stop');
  });
});

describe('upgraded and raw sockets', () => {
  const upgrade = async (port, protocol) => {
    const socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
    socket.write(
      `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`,
    );
    const [head] = await once(socket, 'data');
    assert.match(head, /^HTTP\/1\.1 101 /);
    return socket;
  };

  test('the app is told, and can end them', async (t) => {
    const { port, program, tell } = await oneWorker(
      t,
      { killTimeout: 60_000 },
      { env: { END_SOCKETS: '1' } },
    );
    const socket = await upgrade(port, 'Echo');
    const received = once(socket, 'data');
    const reloaded = tell('reload');
    const { kind, protocol } = await program.next('drainSocket');
    assert.deepStrictEqual({ kind, protocol }, { kind: 'upgrade', protocol: 'echo' });
    assert.strictEqual((await received)[0], 'bye');
    socket.end();
    await reloaded;
    await tell('stop');
  });

  test('a WebSocket that the app does not care for is told that we are going away', async (t) => {
    const { port, tell } = await oneWorker(t, { killTimeout: 60_000 });
    const socket = await upgrade(port, 'websocket');
    socket.setEncoding('latin1');
    const reloaded = tell('reload');
    const [frame] = await once(socket, 'data');
    assert.deepStrictEqual([...Buffer.from(frame, 'latin1')], [0x88, 2, 0x03, 0xe9]);
    socket.end();
    await reloaded;
    await tell('stop');
  });

  test('others live until killTimeout; then SIGTERM ends the worker', async (t) => {
    const { port, program, tell } = await oneWorker(t, { killTimeout: 300 });
    const socket = await upgrade(port, 'echo');
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    await tell('reload');
    await closed;
    const { signal, drained } = await program.next('kill');
    assert.deepStrictEqual({ signal, drained }, { signal: 'SIGTERM', drained: false });
    const exit = await program.next('exit');
    assert.deepStrictEqual([exit.signal, exit.expected], ['SIGTERM', true]);
    await tell('stop');
  });

  test('a worker that does not die of SIGTERM gets SIGKILL', async (t) => {
    const { port, program, tell } = await oneWorker(
      t,
      { killTimeout: 100, killDelay: 200 },
      { env: { STUBBORN: '1' } },
    );
    const never = request({ port, path: '/never' });
    await program.next('never');
    const reloaded = tell('reload');
    await assert.rejects(never, { code: 'ECONNRESET' });
    await reloaded;
    assert.strictEqual((await program.next('kill')).signal, 'SIGTERM');
    assert.strictEqual((await program.next('ignored')).signal, 'SIGTERM');
    assert.strictEqual((await program.next('kill')).signal, 'SIGKILL');
    assert.strictEqual((await program.next('exit')).signal, 'SIGKILL');
    program.kill('SIGTERM');
  });

  test('those of a net server are told of, too', async (t) => {
    const { port, program, tell } = await oneWorker(
      t,
      { killTimeout: 60_000 },
      { app: 'protocols.js', env: { PROTOCOL: 'net', END_SOCKETS: '1' } },
    );
    const socket = net.connect(port, '127.0.0.1').setEncoding('utf8');
    await once(socket, 'data');
    const received = once(socket, 'data');
    const reloaded = tell('reload');
    const { kind, protocol } = await program.next('drainSocket');
    assert.deepStrictEqual({ kind, protocol }, { kind: 'raw', protocol: undefined });
    assert.strictEqual((await received)[0], 'bye');
    socket.end();
    await reloaded;
    await tell('stop');
  });
});

test('what keeps a drained worker alive ends it with SIGTERM after exitTimeout', async (t) => {
  const { program, tell } = await oneWorker(
    t,
    { exitTimeout: 100, killTimeout: 60_000 },
    { env: { STAY: '1' } },
  );
  await tell('reload');
  const { signal, drained } = await program.next('kill');
  assert.deepStrictEqual({ signal, drained }, { signal: 'SIGTERM', drained: true });
  await tell('stop');
});

test('HTTPS: a response in flight ends, idle connections are closed', async (t) => {
  const { port, program, tell } = await oneWorker(
    t,
    { keepAliveGrace: 0, killTimeout: 60_000 },
    { app: 'protocols.js', env: { PROTOCOL: 'https' } },
  );
  const agents = [0, 1].map(
    () => new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false }),
  );
  t.after(() => agents.forEach((agent) => agent.destroy()));
  const get = (path, agent) =>
    new Promise((resolve, reject) => {
      const sent = https.get({ port, path, agent, host: '127.0.0.1' }, (response) => {
        const { headers, socket } = response;
        let body = '';
        response.setEncoding('utf8').on('data', (part) => (body += part));
        response.on('end', () => resolve({ body, headers, socket }));
      });
      sent.on('error', reject);
    });
  const { socket } = await get('/', agents[0]);
  const closed = once(socket, 'close');
  const slow = get('/slow', agents[1]);
  await program.next('slow');
  const reloaded = tell('reload');
  const { body, headers } = await slow;
  assert.deepStrictEqual([body, headers.connection], ['slow', 'close']);
  await closed;
  await reloaded;
  await tell('stop');
});

for (const [protocol, scheme] of [
  ['http2', 'http'],
  ['http2s', 'https'],
]) {
  test(`HTTP/2 (${scheme}): GOAWAY, and streams in flight end`, async (t) => {
    const { port, program, tell } = await oneWorker(
      t,
      { killTimeout: 60_000, keepAliveGrace: 50 },
      { app: 'protocols.js', env: { PROTOCOL: protocol } },
    );
    const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false });
    t.after(() => session.destroy());
    const bodyOf = async (stream) => {
      let body = '';
      for await (const part of stream.setEncoding('utf8')) body += part;
      return body;
    };
    const { pid } = JSON.parse(await bodyOf(session.request({ ':path': '/' })));
    const goaway = once(session, 'goaway');
    const closed = once(session, 'close');
    const slow = bodyOf(session.request({ ':path': '/slow' }));
    await program.next('slow');
    const reloaded = tell('reload');
    const [code, lastStream] = await goaway;
    // The second stream of this client is the last one that is answered.
    assert.deepStrictEqual([code, lastStream], [0, 3]);
    assert.strictEqual(await slow, 'slow');
    await closed;
    await reloaded;
    assert.strictEqual((await program.next('exit')).pid, pid);
    await tell('stop');
  });
}

test('HTTP/2: a session that was used just now may be used once more', async (t) => {
  const { port, program, tell } = await oneWorker(
    t,
    { killTimeout: 60_000, keepAliveGrace: 60_000 },
    { app: 'protocols.js', env: { PROTOCOL: 'http2' } },
  );
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.after(() => session.destroy());
  const events = [];
  session.once('goaway', (code, lastStream) => events.push(['goaway', code, lastStream]));
  const closed = once(session, 'close');
  const ask = async () => {
    const stream = session.request({ ':path': '/' });
    await once(stream.resume(), 'close');
    events.push(['answered', stream.rstCode]);
  };
  await ask();
  const reloaded = tell('reload');
  await program.next('draining');
  assert.strictEqual(session.closed, false);
  await ask();
  // The client has heard of it before it has the answer, so it sends no other request.
  const goaway = ['goaway', 0, 2 ** 31 - 1];
  assert.deepStrictEqual(events, [['answered', 0], goaway, ['answered', 0]]);
  await closed;
  await reloaded;
  await tell('stop');
});

test('cluster.worker.disconnect() in the worker drains, and another takes its place', async (t) => {
  const { port, program, tell, until } = await oneWorker(t, { keepAliveGrace: 50 });
  const agent = keptAlive(t);
  const { pid } = JSON.parse((await request({ port, agent })).body);
  assert.strictEqual((await request({ port, path: '/leave', agent })).body, 'left');
  assert.strictEqual((await program.next('draining')).reason, 'self');
  const exit = await program.next('exit');
  assert.deepStrictEqual([exit.pid, exit.expected, exit.reason], [pid, true, 'self']);
  await until('ready', (ready) => ready.pid !== pid);
  await tell('stop');
});

test('without a supervisor, worker.disconnect() ends under busy keep-alive clients', async (t) => {
  const program = start(t, path.join(__dirname, 'fixtures/supervisor/plain.js'));
  const { port } = await program.next('listening');
  const agent = keptAlive(t);
  const closes = [];
  // As long as it is answered, it asks again on the same connection.
  const client = async () => {
    for (;;) {
      const { headers } = await request({ port, agent });
      closes.push(headers.connection === 'close');
      if (headers.connection === 'close') return;
    }
  };
  const ended = client();
  await request({ port });
  program.kill('SIGUSR2');
  const { reason, isDraining, slot } = await program.next('draining');
  assert.deepStrictEqual(
    { reason, isDraining, slot },
    { reason: 'disconnect', isDraining: true, slot: null },
  );
  await ended;
  assert.strictEqual(closes.filter(Boolean).length, 1);
  const { code, signal } = await program.next('exit');
  assert.deepStrictEqual({ code, signal }, { code: 0, signal: null });
  await program.exit;
});

test('what the app has still to do is waited for', async (t) => {
  const { program, tell } = await oneWorker(t, {}, { env: { WORK: '1' } });
  const reloaded = tell('reload');
  const { pid } = await program.next('working');
  process.kill(pid, 'SIGUSR2');
  // Its channel was open meanwhile.
  assert.strictEqual((await program.next('worked')).connected, true);
  await reloaded;
  await tell('stop');
});
