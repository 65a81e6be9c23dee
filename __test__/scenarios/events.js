'use strict';

// Which events come when a worker lives and dies, and what the primary makes of them.

const net = require('node:net');
const { ask, exitOf, gone, once, times } = require('../helpers/scenario-tools');
const { underBothPolicies } = require('../helpers/scenario-tools');

function listen(then) {
  return net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1', then);
}

const scenarios = {};

scenarios['a worker that exits with a code'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    const [[exited, ...rest]] = await gone(cluster, 1);
    log(exited === worker, rest, cluster.workers);
  },
  worker: () => process.exit(42),
};

Object.assign(
  scenarios,
  underBothPolicies(() => ({
    'a worker that listens and then ends by itself': {
      async primary({ cluster, log, watch }) {
        watch();
        const worker = cluster.fork();
        const [{ port }] = await once(worker, 'listening');
        log(await ask({ port }));
        worker.send('end');
        await times(cluster, 'exit', 1);
        log(isRunning(worker.process.pid));
      },
      worker({ log }) {
        listen(() => log('listening'));
        process.on('message', () => process.exit(7));
      },
    },

    'a worker that listens and is killed through its process': {
      async primary({ cluster, log, watch }) {
        watch();
        const worker = cluster.fork();
        await once(worker, 'listening');
        log('kill', worker.process.kill('SIGKILL'), worker.process.killed);
        log(worker.exitedAfterDisconnect, worker.state);
        await times(cluster, 'exit', 1);
        log(isRunning(worker.process.pid));
      },
      worker: () => listen(),
    },

    'worker.kill with a signal': {
      async primary({ cluster, log, watch }) {
        watch();
        const worker = cluster.fork();
        await once(worker, 'listening');
        worker.on('exit', () => log('at exit', cluster.workers, isRunning(worker.process.pid)));
        log('kill', worker.kill('SIGKILL'), worker.process.killed);
        await times(cluster, 'exit', 1);
      },
      worker: () => listen(),
    },

    'the listening event has the real port, and the server the same': {
      async primary({ cluster, log }) {
        const workers = [cluster.fork(), cluster.fork()];
        const seen = await times(cluster, 'listening', 2);
        log(seen.map(([, address]) => address));
        for (const [worker] of seen) log(workers.includes(worker), worker.state);
        log(await ask({ port: seen[0][1].port }), await ask({ port: seen[1][1].port }));
        for (const worker of workers) worker.kill();
        log((await times(cluster, 'exit', 2)).map(([, ...rest]) => rest));
      },
      worker({ log }) {
        const server = listen(() => log(server.address(), server.listening));
      },
    },

    'a primary that dies of an exception takes its workers with it': {
      code: 1,
      stderr: true,
      async primary({ cluster }) {
        cluster.fork();
        cluster.fork();
        await times(cluster, 'listening', 2);
        throw new RangeError('the primary goes down');
      },
      worker({ cluster, log }) {
        listen(() => log('listening'));
        cluster.worker.on('disconnect', () => log('disconnect', process.connected));
      },
    },

    'a primary that exits takes its workers with it': {
      code: 5,
      async primary({ cluster, log }) {
        const worker = cluster.fork();
        await once(worker, 'listening');
        process.on('exit', () => log(worker.state, worker.isConnected(), worker.isDead()));
        process.exit(5);
      },
      worker({ cluster, log }) {
        listen(() => log('listening'));
        process.on('disconnect', () => log('process', cluster.worker.exitedAfterDisconnect));
        cluster.worker.on('disconnect', () => log('worker', cluster.worker.state));
      },
    },
  })),
);

function isRunning(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code;
  }
}

scenarios['kill with a signal that nobody knows throws'] = {
  async primary({ cluster, log, attempt, watch }) {
    watch();
    const worker = cluster.fork();
    attempt('kill', () => worker.kill('SIGNOTHING'));
    attempt('kill', () => worker.kill({}));
    attempt('process.kill', () => worker.process.kill('SIGNOTHING'));
    await once(worker, 'online');
    attempt('kill', () => worker.kill(15));
    await once(worker, 'exit');
    log(worker.process.killed);
  },
  worker: () => {},
};

scenarios['a worker that never yields is online all the same and can be killed'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'online');
    log('kill', worker.process.kill());
    await once(worker, 'exit');
  },
  worker() {
    for (;;);
  },
};

scenarios['an uncaughtException handler of the primary stays in charge'] = {
  code: 11,
  primary({ cluster, log }) {
    process.on('uncaughtException', (error, origin) => {
      log(error, origin, process.listenerCount('uncaughtException'));
      if (error.message === 'when online') process.exit(11);
    });
    cluster.fork().on('online', () => {
      throw new Error('when online');
    });
    throw new Error('after the fork');
  },
  worker: () => {},
};

scenarios['a listener that throws is an uncaught exception and stops nothing else'] = {
  primary({ cluster, log, watch }) {
    const worker = cluster.fork();
    process.on('uncaughtException', (error) => {
      log('caught', error);
      if (error.message === 'thrown at listening') worker.kill();
    });
    for (const event of ['online', 'listening', 'message', 'disconnect', 'exit']) {
      cluster.on(event, () => {
        throw new Error(`thrown at ${event}`);
      });
    }
    watch();
  },
  worker: () => listen(() => process.send('listening')),
};

scenarios['a worker that dies of an exception, with and without a handler of its own'] = {
  stderr: true,
  async primary({ cluster, watch }) {
    watch();
    cluster.fork();
    cluster.fork({ HANDLER: 'yes' });
    await times(cluster, 'exit', 2);
  },
  worker({ log }) {
    if (process.env.HANDLER) {
      process.on('uncaughtException', (error) => {
        log(error);
        process.exit(19);
      });
    }
    listen(() => {
      throw new TypeError('thrown in the listening handler');
    });
  },
};

// The builtin gets a deprecation warning for it from its own inside.
scenarios['listening works where the domain module is loaded and entered'] = {
  execArgv: ['--no-deprecation'],
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    const [{ port }] = await once(worker, 'listening');
    log(await ask({ port }), await exitOf(worker));
  },
  worker({ cluster, log }) {
    const domain = require('node:domain').create();
    domain.on('error', (error) => log('error', error));
    domain.enter();
    const server = net.createServer((socket) => {
      socket.end('hello');
      log('connection', process.domain === domain);
      server.close(() => cluster.worker.disconnect());
    });
    server.listen(0, '127.0.0.1', () => log('listening', process.domain === domain));
  },
};

scenarios['handlers on the process of a worker, the worker and the cluster run in that order'] = {
  async primary({ cluster, log, logIn }) {
    const worker = cluster.fork();
    for (const event of ['message', 'disconnect', 'exit']) {
      const lane = `at ${event}`;
      cluster.on(event, () => logIn(lane, 'cluster', worker.state));
      worker.on(event, () => logIn(lane, 'worker', worker.state));
      worker.process.on(event, () => logIn(lane, 'process', worker.state));
      worker.process.prependListener(event, () => logIn(lane, 'process first', worker.state));
    }
    await once(worker, 'exit');
    log(cluster.eventNames(), worker.eventNames());
  },
  worker({ cluster }) {
    process.send('hello', () => cluster.worker.disconnect());
  },
};

module.exports = scenarios;
