'use strict';

// Servers in workers, with connections shared out by the primary or by the system.

const http = require('node:http');
const net = require('node:net');
const { ask, exitOf, freePort, once, times } = require('../helpers/scenario-tools');
const { underBothPolicies } = require('../helpers/scenario-tools');

const hello = (socket) => socket.end('hello');

const common = () => ({
  'listen without a port takes any free one': {
    async primary({ cluster, log }) {
      const worker = cluster.fork();
      const [address] = await once(worker, 'listening');
      log(address, await ask({ port: address.port }));
      worker.disconnect();
    },
    worker({ log }) {
      const server = net.createServer(hello);
      const result = server.listen(() => log('listening', server.address().port > 1023));
      log(result === server, server.listening, server.address());
    },
  },

  'the same port for all workers, and another one for each further listen': {
    async primary({ cluster, log }) {
      for (let n = 0; n < 3; n += 1) cluster.fork();
      const seen = await times(cluster, 'message', 3);
      log(seen.map(([, addresses]) => addresses));
      cluster.disconnect();
    },
    worker() {
      const servers = [0, 0, 0].map(() => net.createServer(hello));
      const listenNext = (at) => {
        if (at === servers.length) {
          process.send(servers.map((server) => server.address()));
          return;
        }
        servers[at].listen(0, '127.0.0.1', () => listenNext(at + 1));
      };
      listenNext(0);
    },
  },

  'a fixed port shared by workers that come one after the other': {
    async primary({ cluster, log }) {
      const PORT = await freePort();
      for (let n = 0; n < 3; n += 1) {
        const worker = cluster.fork({ PORT });
        const [address] = await once(worker, 'listening');
        log(address, address.port === PORT);
      }
      log(await ask({ port: PORT }));
      for (const worker of Object.values(cluster.workers)) {
        worker.disconnect();
        await once(worker, 'exit');
        log(await ask({ port: PORT }));
      }
    },
    worker: () =>
      net.createServer(hello).listen({ port: Number(process.env.PORT), host: '127.0.0.1' }),
  },

  'a worker closes its server and listens anew while another stays': {
    async primary({ cluster, log }) {
      cluster.fork();
      await once(cluster, 'listening');
      cluster.fork({ RESTART: 'yes' });
      log(await once(cluster, 'message'));
      cluster.disconnect();
      log((await times(cluster, 'exit', 2)).map(([, ...rest]) => rest));
    },
    async worker({ log }) {
      const server = net.createServer(hello);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      if (!process.env.RESTART) return;
      for (const round of [1, 2]) {
        server.close();
        await once(server, 'close');
        log('closed', round, server.listening, server.address());
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        log('listening', round, server.listening, server.address().port > 1023);
      }
      server.close(() => process.send('closed'));
    },
  },

  'servers closed in their listening callback, with a new one on port 0 there': {
    async primary({ cluster, watch }) {
      watch();
      await once(cluster.fork(), 'exit');
    },
    worker({ cluster, log }) {
      let open = 6;
      const next = (n) => {
        const server = net.createServer(hello);
        server.listen(0, '127.0.0.1', () => {
          log('listening', n, server.listening);
          if (n > 0) next(n - 1);
          server.close(() => {
            open -= 1;
            if (open === 0) cluster.worker.disconnect();
          });
        });
      };
      next(5);
    },
  },

  'a server closed before the answer of the primary never calls back': {
    async primary({ cluster, watch }) {
      watch();
      await once(cluster.fork(), 'exit');
    },
    worker({ cluster, log }) {
      const server = net.createServer(hello);
      server.listen(0, '127.0.0.1', () => log('never called'));
      server.on('listening', () => log('never called'));
      server.close((...args) => log('close', args));
      log(server.listening, server.address());
      net.createServer(hello).listen(0, '127.0.0.1', () => cluster.worker.disconnect());
    },
  },

  'listen called twice before the first is answered, and again when listening': {
    async primary({ cluster, watch }) {
      watch();
      await once(cluster.fork(), 'exit');
    },
    worker({ cluster, log, attempt }) {
      const server = net.createServer(hello);
      server.on('listening', () => log('listening', server.listening));
      server.on('error', (error) => log('error', error.code));
      attempt('first', () => server.listen(0, '127.0.0.1') === server);
      attempt('second', () => server.listen(0, '127.0.0.1') === server);
      server.once('listening', () => {
        attempt('third', () => server.listen(0, '127.0.0.1') === server);
        server.close(() => cluster.worker.disconnect());
      });
    },
  },

  'unref, ref, close with a callback, and the worker can still send': {
    async primary({ cluster, log }) {
      const worker = cluster.fork();
      log(await once(worker, 'message'));
      log(await once(worker, 'exit'));
    },
    worker({ cluster, log }) {
      const server = net.createServer(hello);
      server.listen(0, '127.0.0.1', () => {
        log(server.unref() === server, server.ref() === server);
        server.close((...args) => {
          log('closed', args);
          process.send('closed', () => cluster.worker.disconnect());
        });
      });
    },
  },

  'with the channel unreferenced closing the server lets the worker end': {
    primary: ({ watch, cluster }) => (watch(), cluster.fork()),
    worker({ log }) {
      const server = net.createServer(hello).listen(0, '127.0.0.1', () => {
        process.channel.unref();
        server.close(() => log('closed'));
      });
    },
  },

  'with the channel unreferenced a listening server keeps its worker alive': {
    async primary({ cluster, log }) {
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'listening');
      // For as long as another one starts and ends.
      await once(cluster.fork({ SHORT: 'yes' }), 'exit');
      log(worker.isDead(), await ask({ port }));
      worker.disconnect();
      log(await once(worker, 'exit'));
    },
    worker({ cluster }) {
      if (process.env.SHORT) return cluster.worker.disconnect();
      return net.createServer(hello).listen(0, '127.0.0.1', () => process.channel.unref());
    },
  },

  'of unref and ref on a server the last call counts': {
    primary: ({ watch, cluster }) => (watch(), cluster.fork()),
    worker({ log }) {
      const server = net.createServer(hello).listen(0, '127.0.0.1', () => {
        log('listening');
        process.channel.unref();
        server.ref();
        server.unref();
      });
      server.unref();
    },
  },

  'an aborted signal closes a server that listens with it': {
    primary: ({ watch, cluster }) => (watch(), cluster.fork()),
    worker({ cluster, log }) {
      const controller = new AbortController();
      const server = net.createServer(hello);
      server.on('close', () => {
        log('close', server.listening);
        cluster.worker.disconnect();
      });
      server.listen({ port: 0, host: '127.0.0.1', signal: controller.signal }, () => {
        log('listening');
        controller.abort();
      });
    },
  },

  'an http server answers, counts its connections and closes': {
    async primary({ cluster, log }) {
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'listening');
      const said = once(worker, 'message');
      const [response] = await once(http.get({ port, agent: false }), 'response');
      log(response.statusCode, String(await once(response, 'data')), (await said)[0]);
      worker.disconnect();
      log(await once(worker, 'exit'));
    },
    worker() {
      const server = http.createServer((request, response) => {
        const { remoteAddress, localAddress, remoteFamily } = request.socket;
        server.getConnections((error, count) => {
          process.send({ error, count, remoteAddress, localAddress, remoteFamily });
          response.end('hello');
        });
      });
      server.listen(0, '127.0.0.1');
    },
  },

  'options of the server count for the connections that it is given': {
    async primary({ cluster, log }) {
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'listening');
      const socket = net.connect({ port, allowHalfOpen: true });
      socket.end('from the client');
      log(String(await once(socket, 'data')), await exitOf(worker));
    },
    worker({ cluster, log }) {
      const options = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true };
      const server = net.createServer(options, function (...args) {
        const [socket] = args;
        log(args.length, this === server, socket.isPaused(), socket.allowHalfOpen);
        log(
          socket.server === server,
          socket.remoteFamily,
          socket.localPort === server.address().port,
        );
        socket.on('data', (data) => log(String(data)));
        socket.on('end', () => {
          log('end', socket.writable);
          socket.end('after the end');
          cluster.worker.disconnect();
        });
        socket.resume();
      });
      server.listen(0, '127.0.0.1');
    },
  },

  'a reset connection does no harm to the next one': {
    async primary({ cluster, log }) {
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'listening');
      for (let n = 0; n < 3; n += 1) {
        const socket = net.connect(port, '127.0.0.1');
        await once(socket, 'connect');
        socket.resetAndDestroy();
      }
      log(await ask({ port }));
      worker.disconnect();
      log(await once(worker, 'exit'));
    },
    worker() {
      const server = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.end('hello');
      });
      server.listen(0, '127.0.0.1');
    },
  },
});

module.exports = underBothPolicies(common);
