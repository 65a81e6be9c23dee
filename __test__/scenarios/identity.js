'use strict';

// One cluster, however it is asked for, and what it looks like in a primary and in a worker.

const { EventEmitter } = require('node:events');
const { once } = require('../helpers/scenario-tools');

const scenarios = {};

// Ours may have names of its own besides.
const NAMES = ['isWorker', 'isMaster', 'isPrimary', 'Worker', 'worker', 'workers', 'settings'];
NAMES.push('SCHED_NONE', 'SCHED_RR', 'schedulingPolicy', 'setupPrimary', 'setupMaster', 'fork');
NAMES.push('disconnect', '_getServer', '_events', 'domain', 'send', 'kill');

function lookAt(cluster) {
  const types = NAMES.map((name) => {
    const descriptor = Object.getOwnPropertyDescriptor(cluster, name);
    const { enumerable, configurable, writable } = descriptor ?? {};
    return { name, type: typeof cluster[name], enumerable, configurable, writable };
  });
  const isEmitter = cluster instanceof EventEmitter;
  const { isPrimary, isMaster, isWorker } = cluster;
  return { types, isEmitter, isPrimary, isMaster, isWorker, events: cluster.eventNames() };
}

scenarios['what there is in a primary and what there is in a worker'] = {
  async primary({ cluster, log }) {
    log(lookAt(cluster), cluster.setupMaster === cluster.setupPrimary);
    await once(cluster.fork(), 'exit');
    log(lookAt(cluster));
  },
  worker({ cluster, log }) {
    log(lookAt(cluster));
    const prototype = Object.getOwnPropertyNames(cluster.Worker.prototype).sort();
    log(prototype, typeof cluster.worker.disconnect, typeof cluster.worker.destroy);
    cluster.worker.disconnect();
  },
};

// The static import of a name is tried in programs/esm.mjs.
async function lookEverywhere({ cluster, log, ours }) {
  const own = ours ? 'rust-cluster' : 'node:cluster';
  for (const [at, name] of ['cluster', 'node:cluster', own].entries()) {
    const namespace = await import(name);
    log(require(name) === cluster, namespace.default === cluster);
    const { isPrimary, isWorker, isMaster, SCHED_RR, SCHED_NONE, schedulingPolicy } = namespace;
    log({ isPrimary, isWorker, isMaster, SCHED_RR, SCHED_NONE, schedulingPolicy });
    for (const key of ['fork', 'workers', 'settings', 'worker', 'Worker', 'disconnect']) {
      log(key, namespace[key] === cluster[key], typeof namespace[key]);
      // A module cannot have a name in the one process and lack it in the other, as the builtin's
      // does: ours has the names of both, undefined where they mean nothing.
      if (at < 2) log(key in namespace);
    }
  }
}

scenarios['require and import, by any name, give one and the same cluster'] = {
  async primary(tools) {
    await lookEverywhere(tools);
    await once(tools.cluster.fork(), 'exit');
  },
  async worker(tools) {
    await lookEverywhere(tools);
    tools.cluster.worker.disconnect();
  },
};

scenarios['a fork through the imported name is in the one list of workers'] = {
  async primary({ cluster, log }) {
    const { fork, workers, disconnect } = await import('node:cluster');
    const worker = fork();
    log(cluster.workers === workers, Object.keys(workers), cluster.workers[1] === worker);
    await once(worker, 'online');
    disconnect(() => log('called back', Object.keys(workers)));
    await once(worker, 'exit');
  },
  worker: () => {},
};

scenarios['there are no listeners and no warnings of ours'] = {
  execArgv: ['--pending-deprecation', '--trace-warnings'],
  async primary({ cluster, log }) {
    log(
      process
        .eventNames()
        .filter((name) => typeof name === 'string')
        .sort(),
    );
    await once(cluster.fork(), 'exit');
    log(cluster.eventNames());
  },
  worker({ cluster, log }) {
    log(cluster.eventNames(), cluster.worker.eventNames());
    log(process.listenerCount('uncaughtException'), process.listenerCount('SIGTERM'));
    cluster.worker.disconnect();
  },
};

scenarios['a worker that listens and sends warns of nothing either'] = {
  execArgv: ['--pending-deprecation', '--trace-warnings'],
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    const [, socket] = await once(worker, 'message');
    log(socket);
    socket.end('hello');
    worker.disconnect();
    await once(worker, 'exit');
  },
  worker() {
    const net = require('node:net');
    const dgram = require('node:dgram');
    const server = net.createServer((socket) => process.send('take it', socket));
    server.listen(0, '127.0.0.1', () => {
      dgram.createSocket('udp4').bind(0, '127.0.0.1', () => {
        net.connect(server.address().port, '127.0.0.1').resume();
      });
    });
  },
};

module.exports = scenarios;
