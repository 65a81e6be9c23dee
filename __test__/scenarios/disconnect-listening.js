'use strict';

// Leaving while there are servers, with either way of sharing connections.

const http = require('node:http');
const net = require('node:net');
const { ask, exitOf, gone, once, times } = require('../helpers/scenario-tools');
const { underBothPolicies } = require('../helpers/scenario-tools');

function listen(then) {
  return net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1', then);
}

module.exports = underBothPolicies(() => ({
  'workers share two ports, cluster.disconnect ends them, and all of it twice': {
    async primary({ cluster, log }) {
      for (const round of [1, 2]) {
        for (let n = 0; n < 3; n += 1) cluster.fork();
        const seen = await times(cluster, 'listening', 6);
        const ports = [...new Set(seen.map(([, { port }]) => port))].sort();
        log('round', round, ports.length);
        for (const port of ports) log(await ask({ port }));
        const exits = times(cluster, 'exit', 3);
        const error = await new Promise((resolve) => cluster.disconnect(resolve));
        log('disconnected', error, cluster.workers);
        log((await exits).map(([, ...rest]) => rest));
      }
    },
    worker({ log }) {
      listen(() => listen(() => log('both are listening')));
    },
  },

  'worker.disconnect of the primary, with a listener that chooses the exit code': {
    async primary({ cluster, log, watch }) {
      watch();
      const worker = cluster.fork();
      await once(worker, 'listening');
      log('disconnect', worker.disconnect() === worker);
      log(worker.exitedAfterDisconnect, worker.state, worker.isConnected(), cluster.workers);
      await once(worker, 'exit');
    },
    worker({ cluster, log }) {
      listen();
      cluster.worker.once('disconnect', () => {
        log(cluster.worker.exitedAfterDisconnect, cluster.worker.state);
        process.exit(42);
      });
    },
  },

  'worker.disconnect lets the timer of a listener run before the worker ends': {
    async primary({ cluster, watch }) {
      watch();
      const worker = cluster.fork();
      await once(worker, 'listening');
      worker.disconnect();
    },
    worker({ cluster, log }) {
      listen();
      cluster.worker.on('disconnect', () => {
        setTimeout(() => {
          log('timer');
          process.exit(5);
        }, 20);
      });
    },
  },

  'the channel cut by the primary ends the worker at once, before its timers': {
    async primary({ cluster, log, watch }) {
      watch();
      const worker = cluster.fork();
      await once(worker, 'listening');
      worker.process.disconnect();
      log(worker.exitedAfterDisconnect, worker.isConnected());
      await once(worker, 'exit');
    },
    worker({ cluster, log }) {
      listen();
      cluster.worker.on('disconnect', () => {
        log('disconnect', cluster.worker.exitedAfterDisconnect);
        setTimeout(() => process.exit(5), 1);
      });
    },
  },

  'process.disconnect in a worker that listens': {
    async primary({ cluster, watch }) {
      watch();
      await once(cluster.fork(), 'exit');
    },
    worker({ log }) {
      listen(() => log(process.disconnect(), process.connected));
    },
  },

  'cluster.worker.disconnect in a worker that listens closes its server first': {
    async primary({ cluster, watch }) {
      watch();
      await once(cluster.fork(), 'exit');
    },
    worker({ cluster, log }) {
      const server = listen(() => {
        log(cluster.worker.disconnect() === cluster.worker, cluster.worker.state);
        log(cluster.worker.exitedAfterDisconnect, server.listening, server.address());
        log('again', cluster.worker.disconnect() === cluster.worker);
      });
      server.on('close', () => log('close', process.connected));
      cluster.worker.on('disconnect', () => log('disconnect', process.connected));
    },
  },

  'a worker with an open connection waits for its end': {
    async primary({ cluster, log, logIn, watch }) {
      watch();
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'listening');
      const socket = net.connect(port, '127.0.0.1');
      log(String(await once(socket, 'data')));
      worker.disconnect();
      log('told', worker.isConnected());
      // The server has stopped to accept when nobody answers any more.
      await once(worker, 'message');
      log(await ask({ port }), worker.isConnected());
      socket.end();
      socket.on('close', () => logIn('socket', 'close'));
      await once(worker, 'exit');
    },
    worker({ cluster, log }) {
      const server = net.createServer((socket) => socket.write('hello'));
      server.listen(0, '127.0.0.1');
      server.on('close', () => log('close', process.connected));
      cluster.worker.on('disconnect', () => log('disconnect'));
      const close = server.close;
      server.close = function (...args) {
        close.apply(this, args);
        process.send('closing');
        return this;
      };
    },
  },

  'an http connection that is idle does not hold up a worker that leaves': {
    async primary({ cluster, log, watch }) {
      watch();
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'listening');
      const agent = new http.Agent({ keepAlive: true });
      const [response] = await once(http.get({ port, agent }), 'response');
      log(response.headers.connection, String(await once(response, 'data')));
      worker.disconnect();
      log(await exitOf(worker));
    },
    worker({ log }) {
      const server = http.createServer((request, response) => response.end('hello'));
      server.on('close', () => log('close'));
      server.listen(0, '127.0.0.1');
    },
  },

  'workers that die are replaced, and the port stays': {
    async primary({ cluster, log }) {
      const keeper = cluster.fork();
      const [{ port }] = await once(keeper, 'listening');
      for (let n = 0; n < 3; n += 1) {
        const worker = cluster.fork();
        const [address] = await once(worker, 'listening');
        log(worker.id, address, await ask({ port }));
        worker.kill('SIGKILL');
        await gone(cluster, 1);
      }
      log(Object.keys(cluster.workers), await ask({ port }), { port });
      cluster.disconnect();
    },
    worker: () => listen(),
  },

  'a worker is told to disconnect while it starts to listen': {
    async primary({ cluster, log, logIn, watch }) {
      watch();
      const worker = cluster.fork();
      log(cluster.disconnect(() => logIn('callback', cluster.workers)));
      await Promise.all([once(worker, 'exit'), once(worker, 'disconnect')]);
    },
    worker: () => listen(),
  },

  'a worker without a server and one with, told one after the other': {
    async primary({ cluster, log, watch }) {
      watch();
      const [idle, busy] = [cluster.fork({ IDLE: 'yes' }), cluster.fork()];
      await Promise.all([once(idle, 'online'), once(busy, 'listening')]);
      idle.disconnect();
      await once(idle, 'exit');
      await new Promise((resolve) => cluster.disconnect(resolve));
      log(await exitOf(busy));
    },
    worker() {
      if (!process.env.IDLE) listen();
    },
  },

  'one worker leaves while another starts and is told to go when it is online': {
    async primary({ cluster, logIn }) {
      const first = cluster.fork();
      await once(first, 'listening');
      first.disconnect();
      const second = cluster.fork();
      second.on('online', () => second.disconnect());
      cluster.on('exit', ({ id }, ...rest) => logIn(`exit ${id}`, rest));
      await times(cluster, 'exit', 2);
    },
    worker: () => listen(),
  },
}));
