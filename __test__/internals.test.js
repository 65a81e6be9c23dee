'use strict';

// Every private part of Node that lib/internals.js relies on, without the addon: where a new Node
// has changed one, this says which.

const assert = require('node:assert/strict');
const { ChildProcess, spawn } = require('node:child_process');
const dgram = require('node:dgram');
const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { after, describe, test } = require('node:test');
const tls = require('node:tls');

const { BUILTIN_VARIABLE } = require('../lib/environment');
const internals = require('../lib/internals');
const { start } = require('./helpers/program');
const { socketPath } = require('./helpers/connections');

const fixture = (name) => path.join(__dirname, 'fixtures', 'internals', name);

/** A listening server and the way to its end. */
async function listening(t, server, ...where) {
  server.listen(...(where.length > 0 ? where : [0, '127.0.0.1']));
  t.after(() => server.close());
  await once(server, 'listening');
  return server;
}

/** Both ends of a connection to a server. */
async function connected(server) {
  const address = server.address();
  const client = net.connect(address.port ? address : { path: address });
  const [[socket]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  return { client, socket };
}

after(() => {
  const addons = Object.keys(require.cache).filter((file) => file.endsWith('.node'));
  assert.deepEqual(addons, [], 'all of this was without the addon');
});

describe('the builtin', () => {
  test('is adopted in place, for require and import, unless it has forked', async (t) => {
    const program = start(t, fixture('primary.js'));
    const { same, wasBuiltin, isOurs, refusal } = await program.next('adopted');
    assert.deepEqual([same, wasBuiltin, isOurs], [true, true, true]);
    assert.match(refusal, /^rust-cluster was loaded after the builtin cluster had forked workers/);
    await program.exit;
  });

  test("is a worker's if it is told so when it is loaded, and listens to nothing", async (t) => {
    const program = start(t, fixture('worker.js'));
    const { isWorker, isPrimary, listened } = await program.next('loaded');
    assert.deepEqual([isWorker, isPrimary], [true, false]);
    for (const event of ['disconnect', 'internalMessage', 'message', 'error']) {
      assert.equal(listened.includes(event), false, event);
    }
  });

  test('leaves one listener of each kind in a worker, which are taken away alone', async (t) => {
    const env = { [BUILTIN_VARIABLE]: '7' };
    const program = start(t, fixture('bootstrapped.js'), { env });
    const { isWorker, id, before, after: left, kept } = await program.next('removed');
    assert.deepEqual([isWorker, id], [true, 7]);
    assert.deepEqual(before, [2, 2, 2, 2]);
    assert.deepEqual(left, [1, 1, 1, 1]);
    assert.equal(kept, true);
  });

  test('has the hook through which net and dgram ask, and pass on errors', async (t) => {
    const program = start(t, fixture('worker.js'));
    const tcp = { address: '127.0.0.1', port: 1, addressType: 4, isUdp: false };
    const first = await program.next('asked');
    assert.deepEqual(first, { event: 'asked', ...tcp, flags: { ipv6Only: false } });
    assert.deepEqual(await program.next('failed'), {
      event: 'failed',
      code: 'EADDRINUSE',
      syscall: 'bind',
    });
    const second = await program.next('asked');
    assert.equal(second.port, 2);
    assert.deepEqual(second.flags, { ipv6Only: true });
    assert.equal((await program.next('listening')).connections, 0);
    const third = await program.next('asked');
    assert.equal(third.isUdp, true);
    assert.equal(third.addressType, 'udp4');
    assert.deepEqual(third.flags, { ipv6Only: false, reuseAddr: true });
  });
});

describe('a handle', () => {
  test('is made of a descriptor: a connection, a listening socket, a UDP socket', async (t) => {
    const server = await listening(t, net.createServer());
    const file = socketPath(t);
    const pipes = await listening(t, net.createServer(), file);
    const other = await listening(t, net.createServer());
    const udp = dgram.createSocket('udp4');
    t.after(() => udp.close());
    await once(udp.bind(0, '127.0.0.1'), 'listening');
    const ends = [];
    for (const each of [server, server, pipes, pipes, server]) ends.push(await connected(each));
    const sockets = ends.map(({ socket }) => socket);

    const passed = [...sockets, other, udp].map((each) => internals.handleOf(each).fd);
    const stdio = ['ignore', 'pipe', 'inherit', ...passed];
    const child = spawn(process.execPath, [fixture('handles.js')], { stdio });
    // Only the child has them now, and so what it ends is ended.
    for (const socket of sockets) socket.destroy();
    for (const [i, { client }] of ends.entries()) {
      client.setEncoding('utf8').on('data', (text) => assert.equal(text, `through ${i + 3}`));
      client.on('end', () => client.destroy());
    }
    await Promise.all(ends.map(({ client }) => once(client, 'close')));
    const guest = net.connect(other.address().port, '127.0.0.1').resume();
    other.close();
    await once(guest, 'end');

    let printed = '';
    for await (const text of child.stdout.setEncoding('utf8')) printed += text;
    const events = printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const stream = (fd, is) => ({ event: 'stream', fd, is, same: true, raw: true });
    for (const expected of [
      stream(3, 'tcp'),
      stream(4, 'tcp'),
      stream(5, 'pipe'),
      stream(6, 'pipe'),
      stream(7, 'tcp'),
      { event: 'udp', is: 'udp', port: udp.address().port },
    ]) {
      assert.deepEqual(events.shift(), expected);
    }
    assert.match(events.shift().message, /^open of a received descriptor failed/);
    const [{ is, port }, { same, left }] = events;
    assert.deepEqual([is, port], ['tcp', other.address()?.port ?? port]);
    assert.deepEqual([same, left], [true, null]);
  });

  test('of a UDP socket is told from others', async (t) => {
    const socket = dgram.createSocket('udp4');
    t.after(() => socket.close());
    assert.equal(internals.isDgramSocket(socket), true);
    assert.equal(internals.isDgramSocket(new net.Socket()), false);
    assert.equal(internals.kindOfRawHandle(internals.handleOf(socket)), 'udp');
  });

  test('is told from what is none', () => {
    for (const none of [undefined, null, {}, { fd: 1 }, new net.Socket(), net.createServer()]) {
      assert.equal(internals.isRawHandle(none), false);
      assert.equal(internals.kindOfRawHandle(none), undefined);
    }
  });

  test('is none before the start and after the end', async () => {
    const server = net.createServer();
    assert.equal(internals.handleOf(server) ?? null, null);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    assert.equal(internals.isRawHandle(internals.handleOf(server)), true);
    server.close();
    assert.equal(internals.handleOf(server), null);
  });
});

describe('a server', () => {
  test('counts its connections and tells when one has gone', async (t) => {
    const server = await listening(t, net.createServer());
    const counts = [];
    const note = () => counts.push(internals.connectionsOf(server));
    internals.onConnectionClosed(server, note);
    internals.onConnectionClosed(server, () => assert.fail('told twice'));
    assert.equal(internals.connectionsOf(server), 0);
    const { client, socket } = await connected(server);
    assert.equal(internals.connectionsOf(server), 1);
    client.destroy();
    socket.on('error', () => {});
    await once(socket.resume(), 'close');
    assert.deepEqual(counts, [0]);
  });

  test('shares its TLS ticket keys with its twins, and a plain one shares nothing', () => {
    const one = tls.createServer();
    const other = tls.createServer();
    const keys = internals.serverDataOf(one).ticketKeys;
    assert.equal(Buffer.from(keys, 'hex').length, 48);
    internals.setServerData(other, JSON.parse(JSON.stringify(internals.serverDataOf(one))));
    assert.deepEqual(other.getTicketKeys(), one.getTicketKeys());
    const plain = net.createServer();
    assert.equal(internals.serverDataOf(plain), undefined);
    internals.setServerData(plain, { ticketKeys: keys });
  });

  test('passes its flags to bind as libuv numbers them', () => {
    assert.deepEqual(internals.bindFlags(4, 0), { ipv6Only: false });
    assert.deepEqual(internals.bindFlags(6, 1), { ipv6Only: true });
    assert.deepEqual(internals.bindFlags('udp6', 5), { ipv6Only: true, reuseAddr: true });
    assert.deepEqual(internals.bindFlags('udp4'), { ipv6Only: false, reuseAddr: false });
  });
});

describe('a socket that is sent away', () => {
  test('is known as one of a server, and has its key', async (t) => {
    const server = await listening(t, net.createServer());
    const { client, socket } = await connected(server);
    assert.equal(internals.isSocketOfServer(socket), true);
    assert.equal(internals.isSocketOfServer(client), false);
    assert.equal(internals.connectionKey(socket), '4:127.0.0.1:0');
    await leave(client, socket);
  });

  test('loses its handle, which is then closed alone', async (t) => {
    const server = await listening(t, net.createServer());
    const { client, socket } = await connected(server);
    const handle = internals.detachSocket(socket);
    assert.equal(internals.isRawHandle(handle), true);
    assert.equal(internals.handleOf(socket), null);
    const ended = once(client.resume(), 'end');
    internals.closeStream(handle);
    await ended;
    internals.trackSentSocket(socket, undefined, false);
    assert.equal(internals.connectionsOf(server), 0);
    await leave(client);
  });

  test('goes on to be counted through a list', async (t) => {
    const server = await listening(t, net.createServer());
    const { client, socket } = await connected(server);
    const list = Object.assign(new (require('node:events'))(), {
      getConnections: (callback) => callback(null, 3),
      close: (callback) => callback?.(),
    });
    list.setMaxListeners(2);
    internals.trackSentSocket(socket, list, true);
    assert.equal(internals.connectionsOf(server), 1);
    const count = await new Promise((resolve, reject) => {
      server.getConnections((error, all) => (error ? reject(error) : resolve(all)));
    });
    assert.equal(count, 4);
    await leave(client, socket);
  });

  test('may be in the middle of an HTTP request', async (t) => {
    const server = await listening(t, http.createServer());
    const client = net.connect(server.address().port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: here\r\n\r\n');
    const [request] = await once(server, 'request');
    const handle = internals.detachSocket(request.socket);
    const twin = new net.Socket({ handle });
    twin.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n');
    const [text] = await once(client.setEncoding('utf8'), 'data');
    assert.match(text, /^HTTP\/1\.1 204/);
    internals.trackSentSocket(request.socket, undefined, false);
    await leave(client, twin);
  });
});

describe('a child process', () => {
  test("waits with 'close' for the end of the channel", async () => {
    const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
    internals.expectChannelEnd(child);
    let closed = false;
    child.on('close', () => (closed = true));
    await once(child, 'exit');
    assert.equal(closed, false);
    const close = once(child, 'close');
    internals.channelEnded(child);
    assert.deepEqual(await close, [0, null]);
  });

  test('that could not be started says so and is dead; what is sent to it reaches nobody', async () => {
    const child = new ChildProcess();
    Object.assign(child, { spawnfile: 'file', spawnargs: ['file'] });
    internals.failToStart(child, -os.constants.errno.EMFILE);
    assert.equal(child.kill(), false);
    const [error] = await once(child, 'error');
    assert.deepEqual([error.code, error.syscall, error.path], ['EMFILE', 'spawn file', 'file']);
    assert.deepEqual([child.exitCode, child.kill()], [-os.constants.errno.EMFILE, false]);
  });

  test('may hide some of its arguments', async () => {
    const child = spawn(process.execPath, ['--require', 'node:fs', '-e', ''], { stdio: 'ignore' });
    internals.hideArguments(child, 1, 2);
    assert.deepEqual(child.spawnargs, [process.execPath, '-e', '']);
    await once(child, 'exit');
  });

  test('opens its inspector when it is told to', async () => {
    const program = 'console.log(process.pid); setInterval(() => {}, 1_000_000)';
    const args = ['--inspect-port=0', '-e', program];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    await once(child.stdout, 'data');
    internals.signalDebugger(child.pid);
    const [text] = await once(child.stderr.setEncoding('utf8'), 'data');
    assert.match(text, /^Debugger listening on ws:\/\//);
    child.kill();
    await once(child, 'exit');
  });
});

/** Ends sockets and waits until they have. */
async function leave(...sockets) {
  await Promise.all(
    sockets.map((socket) => {
      socket.on('error', () => {});
      const closed = socket.closed || once(socket, 'close');
      socket.destroy();
      return closed;
    }),
  );
}
