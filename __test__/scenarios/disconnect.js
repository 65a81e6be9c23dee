'use strict';

// Leaving: worker.disconnect, cluster.disconnect, destroy, kill, and the loss of the channel.

const { gone, once, times } = require('../helpers/scenario-tools');

const scenarios = {};

const stayUntilKilled = () => setInterval(() => {}, 1000);

scenarios['cluster.disconnect without workers calls back, but not at once'] = {
  primary({ cluster, log }) {
    log(
      'returns',
      cluster.disconnect((...args) => log('first', args)),
    );
    cluster.disconnect(() => log('second'));
    cluster.disconnect('no function');
    log('returns', cluster.disconnect());
  },
};

scenarios['workers that are idle or not yet online are gone at the callback'] = {
  async primary({ cluster, log, logIn }) {
    const { fork, disconnect } = cluster;
    const workers = [fork(), fork()];
    await once(workers[0], 'online');
    disconnect(() => logIn('callback', cluster.workers));
    log(
      workers.map((worker) => worker.exitedAfterDisconnect),
      cluster.workers,
    );
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
    await gone(cluster, 1);
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
  worker: stayUntilKilled,
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
    const ends = await gone(cluster, workers.length);
    log(
      ends.map(([, ...rest]) => rest),
      cluster.workers,
    );
    log(workers.map((worker) => worker.exitedAfterDisconnect));
  },
  worker({ cluster }) {
    process.once('message', () => cluster.worker[process.env.WAY]());
    process.send('ready');
  },
};

scenarios['the exit code that a worker has set counts when it ends by itself'] = {
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  worker({ cluster }) {
    process.exitCode = 6;
    cluster.worker.disconnect();
  },
};

scenarios['worker.on exit can be process.exit itself'] = {
  code: 9,
  primary: ({ cluster }) => cluster.fork().on('exit', process.exit),
  worker: () => process.exit(9),
};

module.exports = scenarios;
