'use strict';

// Servers, UDP sockets and raw handles that go from process to process with a message.

const dgram = require('node:dgram');
const net = require('node:net');
const { ask, factsOf, once, serveApart } = require('../helpers/scenario-tools');

const scenarios = {};

scenarios['a server goes to the worker and stays open in the primary'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart((socket) => socket.end('the primary'));
    const { port } = server.address();
    log(
      worker.send('server', server, (...args) => log('callback', args)),
      server.listening,
    );
    await once(worker, 'message');
    server.close();
    await once(server, 'close');
    log(await ask({ port }));
    worker.send('close');
    await once(worker, 'message');
    log(await ask({ port }));
    worker.disconnect();
  },
  worker({ log }) {
    process.on('message', (message, server) => {
      if (message === 'server') {
        log(server instanceof net.Server, server.listening, server.address());
        server.on('connection', (socket) => socket.end('the worker'));
        process.send('ready');
        process.on('message', () => server.close(() => process.send('closed')));
      }
    });
  },
};

scenarios['a server goes from the worker to the primary'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    const [message, server] = await once(worker, 'message');
    log(message, server instanceof net.Server, server.address());
    server.on('connection', (socket) => socket.end('the primary'));
    worker.disconnect();
    log(await once(worker, 'exit'), await ask({ port: server.address().port }));
    server.close();
  },
  async worker() {
    const server = await serveApart(() => {});
    process.send('server', server, () => server.close());
  },
};

scenarios['a server with null as its message'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart(() => {});
    log(worker.send(null, server));
    await once(worker, 'exit');
    server.close();
  },
  worker({ cluster, log }) {
    process.on('message', (...args) => {
      log(args, args[1].listening);
      args[1].close(() => cluster.worker.disconnect());
    });
  },
};

scenarios['a UDP socket goes to the worker, and comes back'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    log(worker.send({ type: socket.type }, socket, (error) => log('callback', error)));
    const [message, back] = await once(worker, 'message');
    log(message, back instanceof dgram.Socket, back.type, back.address(), socket.address());
    back.close();
    socket.close();
    worker.disconnect();
  },
  worker({ log }) {
    process.on('message', (message, socket) => {
      log(message, socket instanceof dgram.Socket, socket.type, socket.address());
      process.send('back', socket, () => socket.close());
    });
  },
};

scenarios['listening on a server that was received does not involve the primary'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart(() => {});
    const { port } = server.address();
    worker.send('server', server);
    await once(worker, 'message');
    server.close();
    log(await ask({ port }), worker.state);
    worker.kill();
  },
  worker({ log }) {
    process.on('message', (message, server) => {
      const own = net.createServer((socket) => socket.end('hello'));
      own.on('error', (error) => log(factsOf(error)));
      own.listen(server, () => process.send('ready'));
    });
  },
};

scenarios['raw handles arrive as raw handles'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart(() => {});
    log(worker.send('raw', server._handle, (error) => log('callback', error)));
    const [{ port }] = await once(worker, 'message');
    log(server.listening);
    // Else it might be the one that accepts.
    server.close();
    log(await ask({ port }));
    worker.kill();
  },
  worker({ log }) {
    process.on('message', (message, handle) => {
      log(message, handle.constructor.name, typeof handle.close, handle.fd >= 0);
      const server = net.createServer((socket) => socket.end('hello'));
      server.listen(handle, () => process.send(server.address()));
    });
  },
};

module.exports = scenarios;
