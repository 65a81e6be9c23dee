'use strict';

// Signals, from the primary, from outside and for the whole group.

const net = require('node:net');
const { once, times } = require('../helpers/scenario-tools');

const scenarios = {};

scenarios['a worker with a handler for a signal decides for itself'] = {
  async primary({ cluster, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'listening');
    worker.kill();
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    process.on('SIGTERM', (...args) => {
      log(args);
      cluster.worker.disconnect();
    });
    net.createServer(() => {}).listen(0, '127.0.0.1');
  },
};

scenarios['signals reach the handlers of the primary, which ends its workers in good order'] = {
  async primary({ cluster, log, watch }) {
    watch();
    for (const signal of ['SIGTERM', 'SIGUSR2']) {
      process.on(signal, () => {
        log(signal);
        if (signal === 'SIGUSR2') process.kill(process.pid, 'SIGTERM');
        else cluster.disconnect(() => log('called back'));
      });
    }
    const worker = cluster.fork();
    await once(worker, 'message');
    process.kill(process.pid, 'SIGUSR2');
    await once(worker, 'exit');
    process.removeAllListeners('SIGTERM').removeAllListeners('SIGUSR2');
  },
  worker: () => process.send('ready'),
};

scenarios['a signal for the whole group ends primary and workers by it'] = {
  signal: 'SIGINT',
  async primary({ cluster, log }) {
    cluster.fork();
    cluster.fork();
    await times(cluster, 'listening', 2);
    log('all listen');
    process.kill(-process.pid, 'SIGINT');
  },
  worker: () => net.createServer(() => {}).listen(0, '127.0.0.1'),
};

scenarios['a primary that ignores the signal of the group sees how its workers end'] = {
  async primary({ cluster, watch }) {
    watch();
    process.on('SIGINT', () => {});
    cluster.fork();
    cluster.fork();
    await times(cluster, 'listening', 2);
    const ends = times(cluster, 'exit', 2);
    process.kill(-process.pid, 'SIGINT');
    await ends;
    process.removeAllListeners('SIGINT');
  },
  worker: () => net.createServer(() => {}).listen(0, '127.0.0.1'),
};

scenarios['a stopped worker goes on where it was'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'message');
    log(worker.process.kill('SIGSTOP'), worker.send('while it is stopped'), worker.isDead());
    const other = cluster.fork();
    await once(other, 'message');
    log(worker.process.kill('SIGCONT'));
    log(await once(worker, 'message'));
    cluster.disconnect();
  },
  worker() {
    process.on('message', (message) => process.send({ echo: message }));
    process.send('ready');
  },
};

module.exports = scenarios;
