'use strict';

// Ports that are taken, shared, kept or given back, with either way of sharing connections.

const net = require('node:net');
const { ask, factsOf, freePort, isNode, once } = require('../helpers/scenario-tools');
const { underBothPolicies } = require('../helpers/scenario-tools');

const hello = (socket) => socket.end('hello');

// From version 22 on the builtin's shared handles fail an assertion where a key comes again.
const isSound = (policy) => policy === 'rr' || !isNode(22);

const common = (policy) => ({
  'a port that the server of the primary holds gives EADDRINUSE in the worker': {
    async primary({ cluster, watch }) {
      watch();
      const server = net.createServer(hello).listen(0, '127.0.0.1');
      await once(server, 'listening');
      await once(cluster.fork({ PORT: server.address().port }), 'exit');
      server.close();
    },
    worker({ cluster, log }) {
      const server = net.createServer(hello);
      server.listen(Number(process.env.PORT), '127.0.0.1', () => log('never called'));
      server.on('error', (error) => {
        log(factsOf(error), server.listening, error.constructor === Error);
        cluster.worker.disconnect();
      });
      server.on('close', () => log('close'));
    },
  },

  'a listen that failed can be tried again once the port is free': {
    supported: () => isSound(policy),
    async primary({ cluster, log }) {
      const server = net.createServer(hello).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address();
      const worker = cluster.fork({ PORT: port });
      log(await once(worker, 'message'));
      server.close();
      worker.send('now');
      await once(worker, 'listening');
      log(await ask({ port }));
      worker.disconnect();
    },
    worker({ log }) {
      const server = net.createServer(hello);
      const listen = () => server.listen(Number(process.env.PORT), '127.0.0.1');
      server.on('error', (error) => {
        log(error.code);
        process.send(error.code);
      });
      process.on('message', listen);
      listen();
    },
  },

  'an exception thrown by the error handler of a listen is one uncaught exception': {
    async primary({ cluster, watch }) {
      watch();
      const server = net.createServer(hello).listen(0, '127.0.0.1');
      await once(server, 'listening');
      await once(cluster.fork({ PORT: server.address().port }), 'exit');
      server.close();
    },
    worker({ cluster, log }) {
      process.on('uncaughtException', (error) => log('caught', error.message));
      const server = net.createServer(hello).listen(Number(process.env.PORT), '127.0.0.1');
      server.on('error', (error) => {
        cluster.worker.disconnect();
        throw new Error(`thrown for ${error.code}`);
      });
    },
  },

  'a second server on the same fixed port in one worker': {
    supported: () => isSound(policy),
    async primary({ cluster, log }) {
      const worker = cluster.fork({ PORT: await freePort() });
      log(await once(worker, 'exit'));
    },
    async worker({ cluster, log }) {
      const PORT = Number(process.env.PORT);
      const first = net.createServer(hello).listen(PORT, '127.0.0.1');
      await once(first, 'listening');
      const second = net.createServer(hello).listen(PORT, '127.0.0.1');
      second.on('listening', () => log('second listens'));
      const [error] = await once(second, 'error');
      log(factsOf(error));
      first.close();
      await once(first, 'close');
      second.removeAllListeners('listening');
      second.listen(PORT, '127.0.0.1');
      await once(second, 'listening');
      log(second.address());
      cluster.worker.disconnect();
    },
  },

  'exclusive keeps a port for one worker, and exclusive port 0 gives two': {
    async primary({ cluster, log }) {
      const PORT = await freePort();
      for (const EXCLUSIVE of ['yes', 'no', 'yes']) {
        const worker = cluster.fork({ PORT, EXCLUSIVE });
        log((await once(worker, 'message'))[0]);
      }
      // Servers that the cluster does not know are not closed by a disconnect.
      for (const worker of Object.values(cluster.workers)) worker.kill();
    },
    async worker({ log }) {
      const exclusive = process.env.EXCLUSIVE === 'yes';
      const own = net.createServer(hello);
      own.listen({ port: 0, host: '127.0.0.1', exclusive });
      await once(own, 'listening');
      const fixed = net.createServer(hello);
      fixed.on('listening', () => process.send([own.address(), fixed.address()]));
      fixed.on('error', (error) => {
        log(factsOf(error));
        process.send([own.address(), error.code]);
      });
      fixed.listen({ port: Number(process.env.PORT), host: '127.0.0.1', exclusive });
    },
  },

  'exclusive does not ask the primary, which hears of no listening': {
    async primary({ cluster, log, watch }) {
      watch();
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'message');
      log(worker.state, await ask({ port }));
      worker.disconnect();
      await once(worker, 'disconnect');
      log(await ask({ port }));
      worker.kill();
    },
    worker() {
      const server = net.createServer(hello);
      server.listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
        process.send(server.address());
      });
    },
  },

  'ports of one worker are free for another when it has closed them': {
    supported: () => isNode(24) && isSound(policy),
    async primary({ cluster, log }) {
      const PORT = await freePort();
      const [first, second] = [cluster.fork({ PORT }), cluster.fork({ PORT })];
      const tell = async (worker, command) => {
        worker.send(command);
        log(worker.id, command, (await once(worker, 'message'))[0]);
      };
      for (const command of ['listen', 'listen', 'close', 'close']) await tell(first, command);
      await tell(second, 'listen');
      await tell(first, 'listen');
      await tell(first, 'close');
      await tell(second, 'close');
      cluster.disconnect();
    },
    worker() {
      const servers = [];
      process.on('message', (command) => {
        if (command === 'close') return servers.pop().close(() => process.send('closed'));
        const server = net.createServer(hello);
        server.on('error', (error) => {
          servers.splice(servers.indexOf(server), 1, net.createServer());
          process.send(error.code);
        });
        servers.push(server);
        return server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send('listens'));
      });
    },
  },
});

const scenarios = underBothPolicies(common);

scenarios['a policy set before the first fork counts, and process.disconnect after an error'] = {
  async primary({ cluster, log, watch }) {
    watch();
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    const server = net.createServer(hello).listen(0, '127.0.0.1');
    await once(server, 'listening');
    await once(cluster.fork({ PORT: server.address().port }), 'exit');
    log(cluster.schedulingPolicy);
    server.close();
  },
  worker({ log }) {
    const server = net.createServer(hello);
    server.listen(Number(process.env.PORT), '127.0.0.1', () => log('never called'));
    server.on('error', (error) => {
      log(factsOf(error));
      process.disconnect();
    });
  },
};

module.exports = scenarios;
