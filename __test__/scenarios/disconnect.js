'use strict';

// Leaving: worker.disconnect, cluster.disconnect, destroy, kill, and the loss of the channel.

const net = require('node:net');
const { ask, exitOf, once, times, underBothPolicies } = require('../helpers/scenario-tools');

const scenarios = {};

function listen(then) {
  return net.createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1', then);
}

const stayUntilKilled = () => setInterval(() => {}, 1000);

scenarios['cluster.disconnect without workers calls back, but not at once'] = {
  primary({ cluster, log }) {
    log('returns', cluster.disconnect((...args) => log('first', args)));
    cluster.disconnect(() => log('second'));
    cluster.disconnect('no function');
    log('returns', cluster.disconnect());
  },
};

Object.assign(
  scenarios,
  underBothPolicies(() => ({
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

    'a worker is told to disconnect while it starts to listen': {
      async primary({ cluster, log, watch }) {
        watch();
        const worker = cluster.fork();
        log(cluster.disconnect(() => log('called back', cluster.workers)));
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
  })),
);

scenarios['workers that are idle or not yet online are gone at the callback'] = {
  async primary({ cluster, log }) {
    const { fork, disconnect } = cluster;
    const workers = [fork(), fork()];
    await once(workers[0], 'online');
    disconnect(() => log('called back', cluster.workers));
    log(workers.map((worker) => worker.exitedAfterDisconnect), cluster.workers);
    log((await times(cluster, 'exit', 2)).map(([, ...rest]) => rest));
  },
  worker: () => {},
};

scenarios['cluster.disconnect as a listener leaves out who has disconnected already'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'online');
    worker.on('disconnect', cluster.disconnect);
    worker.on('disconnect', () => log('listed', Object.keys(cluster.workers)));
    worker.process.disconnect();
    await once(worker, 'exit');
    log('listed', Object.keys(cluster.workers));
  },
  worker: () => {},
};

scenarios['a worker that leaves right at its start hears of it when the primary knows'] = {
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  worker({ cluster, log }) {
    let isNextTurn = false;
    process.nextTick(() => (isNextTurn = true));
    cluster.worker.on('disconnect', () => log('disconnect', isNextTurn));
    cluster.worker.disconnect();
    log(cluster.worker.exitedAfterDisconnect, cluster.worker.state, process.connected);
  },
};

for (const method of ['disconnect', 'kill', 'destroy']) {
  scenarios[`cluster.worker.${method} in the worker is voluntary for the primary`] = {
    async primary({ cluster, watch }) {
      watch();
      const worker = cluster.fork();
      await once(worker, 'exit');
    },
    worker({ cluster, log }) {
      cluster.worker.on('disconnect', () => log('disconnect', cluster.worker.state));
      log(cluster.worker[method]() === cluster.worker, cluster.worker.state);
      log(cluster.worker.exitedAfterDisconnect, process.connected);
    },
  };
}

scenarios['destroy after the disconnect, and twice, in the worker'] = {
  async primary({ cluster, watch }) {
    watch();
    cluster.fork({ FIRST: 'disconnect' });
    cluster.fork({ FIRST: 'destroy' });
    await times(cluster, 'exit', 2);
  },
  worker({ cluster, log }) {
    stayUntilKilled();
    cluster.worker.on('disconnect', () => {
      log('disconnect', cluster.worker.isConnected());
      cluster.worker.destroy();
    });
    cluster.worker[process.env.FIRST]();
    if (process.env.FIRST === 'destroy') {
      log(cluster.worker.destroy(), cluster.worker.disconnect() === cluster.worker);
    }
  },
};

// Told twice while it is still connected, the builtin's worker dies of an exception: left out.
scenarios['worker.disconnect once it has disconnected and once it is dead'] = {
  async primary({ cluster, log, attempt, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'online');
    attempt('first', () => worker.disconnect());
    await once(worker, 'disconnect');
    attempt('second', () => worker.disconnect());
    log(cluster.workers, worker.isConnected());
    worker.kill();
    await once(worker, 'exit');
    attempt('third', () => worker.disconnect());
  },
  worker({ cluster, log }) {
    stayUntilKilled();
    cluster.worker.on('disconnect', () => log('disconnect'));
  },
};

scenarios['many workers told at once to leave in different ways all end well'] = {
  async primary({ cluster, log }) {
    const ways = ['disconnect', 'destroy', 'kill', 'disconnect', 'destroy', 'kill'];
    const workers = ways.map((WAY) => cluster.fork({ WAY }));
    for (const worker of workers) {
      worker.on('error', ({ code, syscall }) => {
        const isExpected = ['EPIPE', 'ECONNRESET'].includes(code) && syscall === 'write';
        if (!isExpected && code !== 'ERR_IPC_CHANNEL_CLOSED') log('error', code, syscall);
      });
    }
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    cluster.on('disconnect', () => {
      const connected = workers.filter((worker) => worker.isConnected());
      for (const worker of connected) worker.send('still there?');
    });
    for (const worker of workers) worker.send('go');
    const ends = await times(cluster, 'exit', workers.length);
    log(ends.map(([, ...rest]) => rest), cluster.workers);
    log(workers.map((worker) => worker.exitedAfterDisconnect));
  },
  worker({ cluster }) {
    process.once('message', () => cluster.worker[process.env.WAY]());
    process.send('ready');
  },
};

scenarios['worker.on exit can be process.exit itself'] = {
  code: 9,
  primary: ({ cluster }) => cluster.fork().on('exit', process.exit),
  worker: () => process.exit(9),
};

module.exports = scenarios;
