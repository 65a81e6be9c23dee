'use strict';

// Several primaries, parents and children: whose message is it, and whose port?

const net = require('node:net');
const { factsOf, once } = require('../helpers/scenario-tools');

const scenarios = {};

scenarios['a chain of messages from the parent to the worker and back'] = {
  async parent({ log, start }) {
    const primary = start('primary');
    primary.send({ to: 'worker' });
    log(await once(primary, 'message'));
    log(await once(primary, 'exit'));
  },
  primary({ cluster, log }) {
    const worker = cluster.fork();
    process.on('message', worker.send.bind(worker));
    worker.on('message', (message) => {
      log(message);
      process.send(message, () => process.disconnect());
    });
    worker.on('exit', (...args) => log('exit', args));
  },
  worker({ cluster, log }) {
    const send = process.send.bind(process);
    process.on('message', (message) => {
      log(message);
      send({ to: 'parent', connected: process.connected }, () => cluster.worker.disconnect());
    });
  },
};

scenarios['the port of a worker of another primary is taken'] = {
  async primary({ cluster, log, start }) {
    const worker = cluster.fork();
    const [{ port }] = await once(worker, 'listening');
    const second = start('second', { env: { PORT: port } });
    second.on('message', (message) => log('from the second', message));
    log(await once(second, 'exit'));
    worker.disconnect();
  },
  async second({ cluster, log }) {
    const worker = cluster.fork();
    log(worker.id);
    worker.on('message', (message) => process.send(message));
    worker.on('exit', process.exit);
  },
  worker({ cluster, log }) {
    const server = net.createServer(() => {});
    server.listen(Number(process.env.PORT ?? 0), '127.0.0.1');
    server.on('error', (error) => {
      log(factsOf(error));
      process.send(error.code, () => cluster.worker.disconnect());
    });
  },
};

scenarios['a primary killed from outside takes its workers with it'] = {
  async parent({ log, start }) {
    const primary = start('primary');
    await once(primary, 'message');
    primary.kill('SIGKILL');
    log(await once(primary, 'exit'));
  },
  async primary({ cluster }) {
    const worker = cluster.fork();
    await once(worker, 'listening');
    process.send('ready');
  },
  worker({ cluster, log }) {
    net.createServer(() => {}).listen(0, '127.0.0.1');
    cluster.worker.on('disconnect', () => log('disconnect', process.connected));
  },
};

scenarios['a primary told to disconnect by its parent lets its workers end first'] = {
  async parent({ log, start }) {
    const primary = start('primary');
    await once(primary, 'message');
    primary.disconnect();
    log(await once(primary, 'exit'));
  },
  async primary({ cluster, log, logIn }) {
    const worker = cluster.fork();
    process.on('disconnect', () => cluster.disconnect(() => logIn('callback', 'called')));
    await once(worker, 'online');
    process.send('ready');
    log(await once(worker, 'exit'));
  },
  worker: () => {},
};

scenarios['descriptors in further pipes work both ways, wherever the channel is'] = {
  async primary({ cluster, log }) {
    for (const stdio of [
      ['pipe', 'pipe', 'inherit', 'ipc', 'pipe'],
      ['ignore', 'inherit', 'inherit', 'pipe', 'pipe', 'ipc'],
      ['pipe', 'inherit', 'inherit', 'pipe', 'ipc', 'pipe'],
    ]) {
      cluster.setupPrimary({ stdio });
      const FD = stdio.lastIndexOf('pipe');
      const worker = cluster.fork({ FD });
      const streams = worker.process.stdio;
      log(streams.map((stream) => stream && [stream.readable, stream.writable]));
      streams[FD].write('to the worker');
      log(String(await once(streams[FD], 'data')), worker.process.channel.fd >= 0);
      worker.disconnect();
      await once(worker, 'exit');
    }
  },
  worker({ log }) {
    const socket = new net.Socket({ fd: Number(process.env.FD), readable: true, writable: true });
    socket.once('data', (data) => {
      log(String(data));
      socket.end('to the primary');
    });
  },
};

scenarios['several sockets on descriptors, and process.disconnect'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary({ stdio: ['pipe', 'pipe', 'inherit', 'ipc', 'pipe', 'pipe', 'pipe'] });
    log(await once(cluster.fork(), 'exit'));
  },
  worker({ log }) {
    for (const fd of [4, 5, 6]) {
      const socket = new net.Socket({ fd, readable: fd === 4, writable: fd !== 4 });
      log(fd, socket.readable, socket.writable);
      socket.unref();
    }
    process.disconnect();
  },
};

module.exports = scenarios;
