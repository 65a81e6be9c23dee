'use strict';

// Sockets and servers that go from process to process with a message.

const dgram = require('node:dgram');
const http = require('node:http');
const net = require('node:net');
const { ask, factsOf, once, times } = require('../helpers/scenario-tools');

const scenarios = {};

/** A server of the process itself, not of the cluster, that hands over each connection. */
async function serve(onConnection, options = {}) {
  const server = net.createServer({ pauseOnConnect: true, ...options }, onConnection);
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true });
  await once(server, 'listening');
  return server;
}

scenarios['a socket goes to the worker, which has it all to itself'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serve((socket) => {
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
    const server = await serve((socket) => {
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
    const server = await serve((socket) => worker.send('socket', socket));
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
    const server = await serve((socket) => {
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
    const server = await serve((socket) => {
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
    const server = await serve((socket) => sockets.push(socket));
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
    const server = await serve((socket) => sent.push(worker.send('socket', socket)));
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
      if (message === 'close one') sockets.pop().on('close', () => process.send('closed')).end();
      if (message === 'close the others') for (const other of sockets) other.end();
    });
  },
};

scenarios['a server goes to the worker and stays open in the primary'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serve((socket) => socket.end('the primary'));
    const { port } = server.address();
    log(worker.send('server', server, (...args) => log('callback', args)), server.listening);
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
    const server = await serve(() => {});
    process.send('server', server, () => server.close());
  },
};

scenarios['a server with null as its message'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serve(() => {});
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

scenarios['a received socket can be given to an http server'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serve((socket) => worker.send('socket', socket));
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
    const server = await serve((socket) => {
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

scenarios['listening on a server that was received does not involve the primary'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'online');
    const server = await serve(() => {});
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

module.exports = scenarios;
