'use strict';

// Sockets in the file system, and descriptors that the primary has inherited.

const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { ask, factsOf, once, times, underBothPolicies } = require('../helpers/scenario-tools');

const hello = (socket) => socket.end('hello');

/** A server on a socket that its primary has inherited, until that one's parent says so. */
const onInherited = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    const [address] = await once(worker, 'listening');
    log(address);
    process.send('ready');
    await once(process, 'message');
    worker.disconnect();
    log(await once(worker, 'exit'));
    process.disconnect();
  },
  worker({ log }) {
    const server = net.createServer(hello).listen({ fd: 3 }, () => log(server.address()));
  },
};

const common = () => ({
  'a socket in the file system is shared, and gone when the workers are': {
    async primary({ cluster, log, tmp }) {
      const file = path.join(tmp, 'socket');
      for (let n = 0; n < 2; n += 1) cluster.fork({ FILE: file });
      const seen = await times(cluster, 'listening', 2);
      log(seen.map(([, address]) => address));
      log(await ask({ path: file }), fs.statSync(file).isSocket());
      cluster.disconnect();
      await times(cluster, 'exit', 2);
      log(fs.existsSync(file));
    },
    worker({ log }) {
      const server = net.createServer(hello);
      server.listen(process.env.FILE, () => log(server.address(), server.listening));
    },
  },

  'a socket that is there already gives EADDRINUSE, one that cannot be there EACCES': {
    async primary({ cluster, tmp }) {
      const file = path.join(tmp, 'taken');
      const server = net.createServer(hello).listen(file);
      await once(server, 'listening');
      await once(cluster.fork({ FILE: file }), 'exit');
      await once(cluster.fork({ FILE: path.join(tmp, 'no/such/directory') }), 'exit');
      server.close();
    },
    worker({ cluster, log }) {
      const server = net.createServer(hello).listen(process.env.FILE);
      server.on('error', (error) => {
        log(factsOf(error));
        cluster.worker.disconnect();
      });
    },
  },

  'a path is relative to the directory of the worker, also one that is too long else': {
    async primary({ cluster, log, tmp }) {
      const cwd = path.join(tmp, 'long'.repeat(20), 'longer'.repeat(20));
      fs.mkdirSync(cwd, { recursive: true });
      process.chdir(cwd);
      const worker = cluster.fork();
      const [address] = await once(worker, 'listening');
      log(address, fs.readdirSync(cwd), await ask({ path: 'socket' }));
      worker.disconnect();
      await once(worker, 'exit');
      log(fs.readdirSync(cwd));
    },
    worker({ log }) {
      const server = net.createServer(hello);
      server.listen('socket', () => log(server.address(), fs.readdirSync('.')));
    },
  },

  'an http server on a socket in the file system': {
    async primary({ cluster, log, tmp }) {
      const socketPath = path.join(tmp, 'socket');
      const worker = cluster.fork({ FILE: socketPath });
      await once(worker, 'listening');
      const [response] = await once(http.get({ socketPath, agent: false }), 'response');
      log(response.statusCode, String(await once(response, 'data')));
      worker.disconnect();
    },
    worker({ log }) {
      const server = http.createServer(({ socket }, response) => {
        const { remoteAddress, localAddress, remotePort, localPort, remoteFamily } = socket;
        log({ remoteAddress, localAddress, remotePort, localPort, remoteFamily });
        response.end('hello');
      });
      server.listen(process.env.FILE);
    },
  },

  'a descriptor means one of the primary, which inherited it': {
    ...onInherited,
    async parent({ log, start }) {
      const server = net.createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address();
      const stdio = ['ignore', 'inherit', 'inherit', server._handle, 'ipc'];
      const primary = start('primary', { detached: true, stdio });
      await once(primary, 'message');
      server.close();
      log(await ask({ port }), { port });
      primary.send('end');
      log(await once(primary, 'exit'));
    },
  },

  'a descriptor may be of a socket in the file system': {
    ...onInherited,
    async parent({ log, start, tmp }) {
      const file = path.join(tmp, 'socket');
      const server = net.createServer().listen(file);
      await once(server, 'listening');
      const stdio = ['ignore', 'inherit', 'inherit', server._handle, 'ipc'];
      const primary = start('primary', { stdio });
      await once(primary, 'message');
      // Closed it would take the file away, and open it might be the one that accepts.
      fs.renameSync(file, `${file} elsewhere`);
      server.close();
      log(await ask({ path: `${file} elsewhere` }));
      primary.send('end');
      log(await once(primary, 'exit'));
    },
  },

  'a descriptor that is none gives an error': {
    primary: ({ cluster }) => cluster.fork(),
    worker({ cluster, log }) {
      const server = net.createServer(hello).listen({ fd: 9_999 });
      server.on('error', (error) => {
        log(factsOf(error));
        cluster.worker.disconnect();
      });
    },
  },
});

const scenarios = underBothPolicies(common);

// With a shared handle the builtin forgets them.
scenarios['readableAll and writableAll set the mode of the socket'] = {
  // libuv, since it is in Node 22, replaces all other bits, so that not even the owner has them.
  supported: () => Number.parseInt(process.versions.node, 10) < 22,
  async primary({ cluster, tmp }) {
    process.umask(0o077);
    for (const options of [{}, { readableAll: true }, { readableAll: true, writableAll: true }]) {
      const file = path.join(tmp, Object.keys(options).join() || 'none');
      await once(cluster.fork({ OPTIONS: JSON.stringify({ path: file, ...options }) }), 'exit');
    }
  },
  worker({ cluster, log }) {
    const options = JSON.parse(process.env.OPTIONS);
    net.createServer(hello).listen(options, () => {
      log((fs.statSync(options.path).mode & 0o777).toString(8));
      cluster.worker.disconnect();
    });
  },
};

module.exports = scenarios;
