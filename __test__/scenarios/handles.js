'use strict';

// Sockets and servers that go from process to process with a message.

const http = require('node:http');
const net = require('node:net');
const { ask, once, serveApart, times } = require('../helpers/scenario-tools');

const scenarios = {};

scenarios['a socket goes to the worker, which has it all to itself'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart((socket) => {
      socket.on('close', (...args) => log('socket of the primary closes', args));
      log('send', worker.send({ take: 'this' }, socket), socket.destroyed);
    });
    log('client', await ask({ port: server.address().port }));
    server.close(() => log('server closes'));
    worker.disconnect();
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    cluster.worker.on('message', (...args) => log('worker', args));
    process.on('message', (message, socket, ...rest) => {
      log(message, socket, rest, socket instanceof net.Socket, socket.server, socket.isPaused());
      log(socket.remoteFamily, socket.readable, socket.writable, socket.connecting);
      socket.on('close', (...args) => log('close', args));
      socket.end(`from worker ${cluster.worker.id}`);
    });
  },
};

scenarios['a socket goes from the worker to the primary'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    cluster.on('message', (from, message, socket) => {
      log('cluster', from, message, socket, socket instanceof net.Socket);
    });
    const [{ port }] = await once(worker, 'message');
    worker.on('message', (message, socket) => socket.end(`from the primary: ${message}`));
    log(await ask({ port }));
    worker.disconnect();
    log(await once(worker, 'exit'));
  },
  async worker() {
    const server = await serveApart((socket) => {
      process.send('yours', socket);
      server.close();
    });
    process.send({ port: server.address().port });
  },
};

scenarios['the data that a socket has not read goes with it'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart((socket) => worker.send('socket', socket));
    const client = net.connect(server.address().port, '127.0.0.1');
    client.write('sent before it went');
    log(String(await once(client, 'data')));
    client.end();
    server.close();
    worker.disconnect();
  },
  worker({ log }) {
    process.on('message', (message, socket) => {
      socket.on('data', (data) => {
        log(String(data));
        socket.end('answer');
      });
    });
  },
};

scenarios['with keepOpen the sender keeps its socket as well'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart((socket) => {
      worker.send('socket', socket, { keepOpen: true }, (...args) => log('callback', args));
      worker.once('message', () => socket.end('and the primary'));
    });
    log(await ask({ port: server.address().port }));
    server.close();
    worker.disconnect();
  },
  worker() {
    process.on('message', (message, socket) => {
      socket.write('the worker ', () => {
        process.send('written');
        socket.destroy();
      });
    });
  },
};

scenarios['a callback comes when the socket has been sent, with null'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart((socket) => {
      const result = worker.send('socket', socket, (...args) => log('third place', args));
      log(result);
    });
    log(await ask({ port: server.address().port }));
    await new Promise((resolve) => worker.send('end', null, undefined, resolve));
    server.close();
    worker.disconnect();
  },
  worker() {
    process.on('message', (message, socket) => socket?.end('hello'));
  },
};

scenarios['messages and handles keep their order, and send says when its queue is long'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const sockets = [];
    const server = await serveApart((socket) => sockets.push(socket));
    const clients = [1, 2, 3].map(() => ask({ port: server.address().port }));
    while (sockets.length < 3) await once(server, 'connection');
    const results = [worker.send('a', sockets[0]), worker.send('b'), worker.send('c', sockets[1])];
    results.push(worker.send('d'), worker.send('e', sockets[2]), worker.send('f'));
    log(results);
    log(await Promise.all(clients), worker.send('end'));
    server.close();
    worker.disconnect();
  },
  worker({ log }) {
    process.on('message', (message, socket) => {
      log(message, socket);
      socket?.end('hello');
    });
  },
};

scenarios['connections sent away still count in the primary until the worker closes them'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const sent = [];
    const server = await serveApart((socket) => sent.push(worker.send('socket', socket)));
    const clients = [1, 2, 3].map(() => net.connect(server.address().port, '127.0.0.1'));
    for (const client of clients) client.resume();
    await times(worker, 'message', 3);
    const count = () => new Promise((resolve) => server.getConnections((...args) => resolve(args)));
    log(sent.length, await count());
    worker.send('close one');
    await once(worker, 'message');
    log(await count());
    server.close((...args) => log('server closes', args));
    worker.send('close the others');
    worker.disconnect();
  },
  worker() {
    const sockets = [];
    process.on('message', (message, socket) => {
      if (socket) sockets.push(socket);
      if (message === 'socket') process.send('got it');
      if (message === 'close one')
        sockets
          .pop()
          .on('close', () => process.send('closed'))
          .end();
      if (message === 'close the others') for (const other of sockets) other.end();
    });
  },
};

scenarios['a received socket can be given to an http server'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart((socket) => worker.send('socket', socket));
    const { port } = server.address();
    const [response] = await once(http.get({ port, agent: false }), 'response');
    log(response.statusCode, String(await once(response, 'data')));
    server.close();
    worker.disconnect();
  },
  worker({ log }) {
    const server = http.createServer((request, response) => {
      log(request.socket.server === server);
      response.end('hello');
    });
    process.on('message', (message, socket) => {
      socket.server = server;
      server.emit('connection', socket);
      socket.resume();
    });
  },
};

scenarios['a socket that has been closed or sent is sent as a message alone'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serveApart((socket) => {
      log(worker.send('first', socket), worker.send('second', socket));
    });
    log(await ask({ port: server.address().port }));
    const closed = new net.Socket();
    closed.destroy();
    log(worker.send('closed', closed), worker.send('not connected', new net.Socket()));
    server.close();
    worker.disconnect();
  },
  worker({ log }) {
    process.on('message', (message, socket) => {
      log(message, socket);
      socket?.end('hello');
    });
  },
};

module.exports = scenarios;
