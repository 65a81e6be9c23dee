'use strict';

// Many handles, large messages with them, and handles for somebody who is no longer there.

const net = require('node:net');
const { ask, exitOf, once, serveApart, times } = require('../helpers/scenario-tools');

const scenarios = {};

scenarios['sockets sent there and back again, several at a time'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    worker.on('message', (message, socket) => socket.end('there and back'));
    const server = await serveApart((socket) => worker.send('take it', socket));
    const clients = Array.from({ length: 20 }, () => ask({ port: server.address().port }));
    log(await Promise.all(clients));
    server.close();
    worker.disconnect();
    log(await once(worker, 'exit'));
  },
  worker() {
    process.on('message', (message, socket) => process.send('take it back', socket));
  },
};

scenarios['a socket with a large message, right after the fork, and back'] = {
  async primary({ cluster, log }) {
    const payload = 'x'.repeat(800_000);
    const worker = cluster.fork();
    worker.on('message', ({ text }, socket) => {
      log(text.length, text === payload, socket instanceof net.Socket);
      socket.end('back');
      server.close();
    });
    const server = await serveApart((socket) => worker.send({ text: payload }, socket));
    log(await ask({ port: server.address().port }), await exitOf(worker));
  },
  worker({ log }) {
    process.on('message', (message, socket) => {
      log(message, socket);
      process.send(message, socket);
      process.channel.unref();
    });
  },
};

scenarios['the same socket sent twice by the worker'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    const seen = times(worker, 'message', 2);
    log(await once(worker, 'exit'));
    for (const [message, socket] of await seen) {
      log(message, socket);
      socket?.destroy();
    }
  },
  async worker({ cluster, log }) {
    const server = await serveApart((socket) => {
      log(process.send('reply', socket), process.send('reply', socket));
      server.close();
    });
    const client = net.connect(server.address().port, '127.0.0.1');
    await once(client, 'connect');
    process.send('end', () => cluster.worker.disconnect());
    client.unref();
  },
};

scenarios['handles sent to a worker that exits on the first of them'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const sockets = [];
    const server = await serveApart((socket) => sockets.push(socket));
    const clients = Array.from({ length: 10 }, () => net.connect(server.address().port));
    for (const client of clients) client.on('error', () => {}).resume();
    while (sockets.length < clients.length) await once(server, 'connection');
    const expected = ['ERR_IPC_CHANNEL_CLOSED', 'ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'EMFILE'];
    for (const socket of sockets) {
      worker.send('socket', socket, (error) => {
        if (error && !expected.includes(error.code)) log('callback', error);
      });
    }
    log(await once(worker.process, 'close'), worker.process.channel);
    log(worker.send('too late', () => {}));
    for (const other of [...clients, ...sockets]) other.destroy();
    server.close();
  },
  worker: () => process.on('message', () => process.exit(0)),
};

scenarios['a socket for a worker that has disconnected is not lost to the primary'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'disconnect');
    const server = await serveApart((socket) => {
      log(worker.send('socket', socket, (error) => log(error.code, socket.destroyed)));
      setImmediate(() => socket.end('from the primary'));
    });
    log(await ask({ port: server.address().port }));
    server.close();
  },
  worker: ({ cluster }) => cluster.worker.disconnect(),
};

scenarios['a disconnect waits for handles that have not been taken yet'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const sockets = [];
    const server = await serveApart((socket) => sockets.push(socket));
    const clients = [1, 2, 3].map(() => ask({ port: server.address().port }));
    while (sockets.length < 3) await once(server, 'connection');
    for (const socket of sockets) worker.send('socket', socket);
    worker.disconnect();
    log(await Promise.all(clients), await exitOf(worker));
    server.close();
  },
  worker({ log }) {
    process.on('message', (message, socket) => {
      log(message);
      socket.end('hello');
    });
  },
};

module.exports = scenarios;
