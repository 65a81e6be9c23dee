'use strict';

// How connections are dealt out, and what full workers do with theirs.

const net = require('node:net');
const { spawnSync } = require('node:child_process');
const { ask, isNode, once, times, underBothPolicies } = require('../helpers/scenario-tools');

const scenarios = {};

// The builtin ignores it. On a crowded machine a worker may have to wait for a CPU for longer than
// 5 ms, and then another one gets its connection.
const PATIENT = { handoffTimeout: 10_000 };

/** A connection that says which worker it went to, and stays open. */
async function open(address) {
  const socket = net.connect(address);
  const id = String(await once(socket, 'data'));
  return { socket, id };
}

async function openInARow(address, count) {
  const open10 = [];
  for (let n = 0; n < count; n += 1) open10.push(await open(address));
  return open10;
}

function countById(connections) {
  const counts = {};
  for (const { id } of connections) counts[id] = (counts[id] ?? 0) + 1;
  return counts;
}

const sayId = (cluster) => (socket) => socket.end(String(cluster.worker.id));

scenarios['connections in a row go to the workers in the order in which they listen'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary(PATIENT);
    const workers = [cluster.fork(), cluster.fork(), cluster.fork()];
    await times(cluster, 'online', 3);
    let address;
    for (const worker of [workers[1], workers[2], workers[0]]) {
      worker.send('listen');
      [address] = await once(worker, 'listening');
    }
    for (let n = 0; n < 7; n += 1) {
      log(await ask({ port: address.port }));
      // Or the first to be asked may still be at work on it when its turn comes again.
      for (const worker of workers) worker.send('ready?');
      await Promise.all(workers.map((worker) => once(worker, 'message')));
    }
    cluster.disconnect();
  },
  worker({ cluster }) {
    process.on('message', (message) => {
      if (message === 'listen') net.createServer(sayId(cluster)).listen(0, '127.0.0.1');
      else process.send('ready');
    });
  },
};

scenarios['as many connections at once as workers: one for each'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary(PATIENT);
    for (let n = 0; n < 3; n += 1) cluster.fork();
    const [[, { port }]] = await times(cluster, 'listening', 3);
    log((await Promise.all([1, 2, 3].map(() => ask({ port })))).sort());
    cluster.disconnect();
  },
  worker: ({ cluster }) => net.createServer(sayId(cluster)).listen(0, '127.0.0.1'),
};

scenarios['a worker that has been killed gets no more connections, and none is lost'] = {
  async primary({ cluster, log }) {
    const [first] = [cluster.fork(), cluster.fork()];
    const [[, { port }]] = await times(cluster, 'listening', 2);
    first.kill('SIGKILL');
    await once(first, 'exit');
    for (let n = 0; n < 5; n += 1) log(await ask({ port }));
    cluster.disconnect();
  },
  worker: ({ cluster }) => net.createServer(sayId(cluster)).listen(0, '127.0.0.1'),
};

function listenWithLimits(limits) {
  return {
    async primary({ cluster, log, tmp }) {
      for (const LIMIT of limits) {
        await once(cluster.fork({ LIMIT }), 'listening');
      }
      const connections = await openInARow({ path: `${tmp}/socket` }, 10);
      log(countById(connections));
      for (const { socket } of connections) socket.destroy();
      cluster.disconnect();
    },
    worker({ cluster, log, tmp }) {
      const server = net.createServer((socket) => socket.write(String(cluster.worker.id)));
      server.maxConnections = Number(process.env.LIMIT);
      server.on('drop', (...args) => log('drop', args));
      server.listen(`${tmp}/socket`);
    },
  };
}

scenarios['a full worker refuses, and another one gets the connection'] = listenWithLimits([
  1, 2, 7,
]);

scenarios['a worker with room for no connection at all gets none'] = {
  ...listenWithLimits([0, 1, 9]),
  supported: () => isNode(22),
};

scenarios['a connection that nobody has room for waits until there is room'] = {
  async primary({ cluster, log }) {
    cluster.fork();
    const [, { port }] = await once(cluster, 'listening');
    const first = await open({ port });
    const second = open({ port });
    first.socket.end();
    log(first.id, (await second).id);
    (await second).socket.end();
    cluster.disconnect();
  },
  worker({ cluster, log }) {
    const server = net.createServer((socket) => socket.write(String(cluster.worker.id)));
    server.maxConnections = 1;
    server.on('drop', (...args) => log('drop', args));
    server.listen(0, '127.0.0.1');
  },
};

scenarios['with dropMaxConnection a full worker drops the connection and says so'] = {
  supported: () => isNode(22, 12),
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    const [{ port }] = await once(worker, 'listening');
    const first = await open({ port });
    log(await ask({ port, host: '127.0.0.1' }));
    first.socket.end();
    worker.disconnect();
  },
  worker({ cluster, log }) {
    const server = net.createServer((socket) => socket.write(String(cluster.worker.id)));
    server.maxConnections = 1;
    server.dropMaxConnection = true;
    server.on('drop', (...args) => log('drop', args));
    server.listen(0, '127.0.0.1');
  },
};

Object.assign(
  scenarios,
  underBothPolicies(() => ({
    'the backlog of the worker is the one of the listening socket': {
      supported: () => spawnSync('ss', ['-ltn']).status === 0,
      async primary({ cluster, log }) {
        const worker = cluster.fork();
        const [{ port }] = await once(worker, 'listening');
        const { stdout } = spawnSync('ss', ['-Hltn', 'sport', `= :${port}`], { encoding: 'utf8' });
        log(stdout.trim().split(/\s+/).slice(0, 3));
        worker.disconnect();
      },
      worker: () => net.createServer().listen({ port: 0, host: '127.0.0.1', backlog: 23 }),
    },

    'a hundred connections at once are all answered': {
      async primary({ cluster, log }) {
        for (let n = 0; n < 2; n += 1) cluster.fork();
        const [[, { port }]] = await times(cluster, 'listening', 2);
        const answers = await Promise.all(Array.from({ length: 100 }, () => ask({ port })));
        log(answers.filter((answer) => answer === 'hello').length);
        cluster.disconnect();
      },
      worker: () => net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1'),
    },
  })),
);

module.exports = scenarios;
