'use strict';

// Hosts and ports that a worker can listen on: IPv4 and IPv6, privileged, wrong, not shared.

const net = require('node:net');
const {
  ask,
  factsOf,
  freePort,
  hasIPv6,
  hasPrivilegedPorts,
} = require('../helpers/scenario-tools');
const { isNode, once, times, underBothPolicies } = require('../helpers/scenario-tools');

const hello = (socket) => socket.end('hello');

module.exports = underBothPolicies(() => ({
  'the address of a listening event is the one asked for, and the server knows the real one': {
    supported: hasIPv6,
    async primary({ cluster, log }) {
      const hosts = ['127.0.0.1', '0.0.0.0', 'localhost', '::1', '::', ''];
      for (const HOST of hosts) {
        const worker = cluster.fork({ HOST });
        const [address] = await once(worker, 'listening');
        // Not which one: with two addresses two ports may be the same number by chance.
        log(HOST, { ...address, port: address.port > 1023 }, Object.keys(address));
        worker.disconnect();
        await once(worker, 'exit');
      }
    },
    worker({ log }) {
      const server = net.createServer(hello);
      server.listen({ port: 0, host: process.env.HOST }, () => {
        const { address, family, port } = server.address();
        log({ address, family, port: port > 1023 });
      });
    },
  },

  'a host that is not ours': {
    primary: ({ cluster }) => cluster.fork(),
    async worker({ cluster, log }) {
      // Reserved for documentation; no system has it as its own.
      const server = net.createServer(hello).listen({ port: 0, host: '192.0.2.1' });
      const [error] = await once(server, 'error');
      log(factsOf(error));
      cluster.worker.disconnect();
    },
  },

  'a privileged port gives EACCES to an ordinary user': {
    supported: hasPrivilegedPorts,
    unprivileged: true,
    async primary({ cluster, watch }) {
      watch();
      await once(cluster.fork(), 'exit');
    },
    worker({ cluster, log }) {
      const server = net.createServer(hello);
      server.listen(42, '127.0.0.1', () => log('never called'));
      server.on('error', (error) => {
        log(factsOf(error));
        cluster.worker.disconnect();
      });
    },
  },

  'wrong arguments of listen throw in the worker': {
    primary: ({ cluster }) => cluster.fork(),
    worker({ cluster, attempt }) {
      const wrong = [65_536, -1, NaN, true, {}, { port: 'text' }, { port: -1 }, { fd: 'x' }];
      for (const [at, value] of wrong.entries()) {
        attempt(at, () => net.createServer(hello).listen(value) && 'accepted');
      }
      cluster.worker.disconnect();
    },
  },

  'workers on :: share it with IPv4 clients': {
    supported: hasIPv6,
    async primary({ cluster, log }) {
      for (let n = 0; n < 2; n += 1) cluster.fork();
      const seen = await times(cluster, 'listening', 2);
      log(seen.map(([, address]) => address));
      const { port } = seen[0][1];
      log(await ask({ port, host: '127.0.0.1' }), await ask({ port, host: '::1' }));
      cluster.disconnect();
    },
    worker: () => net.createServer(hello).listen({ port: 0, host: '::' }),
  },

  'with ipv6Only the port stays free for IPv4': {
    supported: hasIPv6,
    async primary({ cluster, log }) {
      const PORT = await freePort('0.0.0.0');
      for (let n = 0; n < 2; n += 1) cluster.fork({ PORT });
      const seen = await times(cluster, 'listening', 2);
      log(seen.map(([, address]) => address));
      log(await ask({ port: PORT, host: '127.0.0.1' }), await ask({ port: PORT, host: '::1' }));
      const server = net.createServer().listen(PORT, '0.0.0.0');
      await once(server, 'listening');
      server.close();
      cluster.disconnect();
    },
    worker({ log }) {
      const server = net.createServer(hello);
      const options = { port: Number(process.env.PORT), host: '::', ipv6Only: true };
      server.listen(options, () => log(server.address()));
    },
  },

  'a socket bound beforehand is listened on by the worker alone': {
    supported: () => net.BoundSocket !== undefined,
    async primary({ cluster, log, watch }) {
      watch();
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'message');
      log(worker.state, await ask({ port }));
      worker.kill();
    },
    worker({ log }) {
      const bound = new net.BoundSocket({ port: 0, host: '127.0.0.1' });
      const server = net.createServer(hello).listen(bound, () => {
        log(server.address());
        process.send(server.address());
      });
    },
  },

  'reusePort is the affair of the worker alone': {
    supported: () => isNode(23, 1) || (isNode(22, 12) && !isNode(23)),
    async primary({ cluster, log, watch }) {
      watch();
      const worker = cluster.fork();
      const [{ port }] = await once(worker, 'message');
      log(worker.state, await ask({ port }));
      worker.kill();
    },
    worker({ log }) {
      const [first, second] = [net.createServer(hello), net.createServer(hello)];
      first.listen({ port: 0, host: '127.0.0.1', reusePort: true }, () => {
        const { port } = first.address();
        second.listen({ port, host: '127.0.0.1', reusePort: true }, () => {
          log(second.address().port === port);
          process.send({ port });
        });
      });
    },
  },
}));
