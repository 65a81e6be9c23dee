'use strict';

// The Worker object: how it is made, its ids, states and predicates, on both sides.

const { EventEmitter } = require('node:events');
const { ask, gone, once, times } = require('../helpers/scenario-tools');

const scenarios = {};

function factsOfWorker(worker, cluster) {
  const { id, state, exitedAfterDisconnect } = worker;
  const isWorker = worker instanceof cluster.Worker && worker instanceof EventEmitter;
  const keys = Object.keys(worker).filter((key) => !key.startsWith('_'));
  return { id, state, exitedAfterDisconnect, isWorker, process: typeof worker.process, keys };
}

scenarios['a Worker can be made by hand, with and without new'] = {
  primary({ cluster, log, attempt }) {
    const options = [
      undefined,
      null,
      5,
      'text',
      {},
      { id: 3 },
      { id: '7' },
      { id: 'x', state: '' },
    ];
    options.push({ id: 4.9, state: 'mine', process: undefined }, { id: -1, state: 5, extra: true });
    for (const option of options) {
      log(option, factsOfWorker(new cluster.Worker(option), cluster));
    }
    log('call', factsOfWorker(cluster.Worker.call({}, { id: 5 }), cluster));
    attempt('bare', () => factsOfWorker((0, cluster.Worker)({ id: 6 }), cluster));
    attempt('bare', () => factsOfWorker(cluster.Worker(), cluster));
    log(cluster.Worker.name, cluster.Worker.length, Object.getPrototypeOf(cluster.Worker).name);
    attempt('isDead without a process', () => new cluster.Worker().isDead());
  },
};

scenarios['a Worker made by hand passes on messages and errors of its process'] = {
  primary({ cluster, log, attempt }) {
    const subprocess = new EventEmitter();
    subprocess.exitCode = null;
    subprocess.connected = 'whatever it is';
    subprocess.send = (...args) => args;
    const worker = new cluster.Worker({ id: 1, process: subprocess });
    log(worker.process === subprocess, subprocess.eventNames());
    worker.on('message', (...args) => log('message', args));
    worker.on('error', (...args) => log('error', args));
    subprocess.emit('message', 'a', 'b', 'c');
    subprocess.emit('error', 'a', 'b', 'c');
    subprocess.emit('exit', 1, null);
    log(worker.send(1, 2, 3, 4), worker.isConnected(), worker.isDead());
    subprocess.exitCode = 0;
    log(worker.isDead());
    subprocess.kill = (...args) => log('kill', args);
    attempt('kill', () => worker.kill());
    attempt('destroy', () => worker.destroy('SIGINT'));
  },
};

scenarios['a worker goes through its states, each at its event'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    log('at once', factsOfWorker(worker, cluster), worker.isConnected(), worker.isDead());
    log(cluster.workers[1] === worker, Object.keys(cluster.workers));
    const [address] = await once(worker, 'listening');
    log(Object.keys(address), address);
    log('it answers', await ask({ port: address.port }));
    worker.disconnect();
    log('after disconnect()', worker.exitedAfterDisconnect, worker.state, cluster.workers);
    await once(worker, 'exit');
    log('at last', worker.state, worker.isConnected(), worker.isDead());
  },
  worker({ cluster, log }) {
    log(factsOfWorker(cluster.worker, cluster));
    log(cluster.worker.process === process, cluster.worker.isDead(), cluster.worker.isConnected());
    const server = require('node:net').createServer((socket) => socket.end('hello'));
    server.listen(0, '127.0.0.1', () => log('listening', cluster.worker.state));
    log('after listen()', cluster.worker.state);
    cluster.worker.on('disconnect', function (...args) {
      log('disconnect', args, this === cluster.worker, cluster.worker.state);
    });
  },
};

scenarios['isConnected turns false on both sides before the disconnect handlers run'] = {
  async primary({ cluster, log, logIn }) {
    const worker = cluster.fork();
    log(worker.isConnected());
    worker.on('disconnect', () => logIn('end', 'worker', worker.isConnected()));
    worker.process.on('disconnect', () => logIn('end', 'process', worker.isConnected()));
    cluster.on('disconnect', () => logIn('end', 'cluster', worker.isConnected()));
    const [[message]] = await times(worker, 'message', 1);
    log(message);
    worker.send('disconnect');
    await once(worker, 'disconnect');
  },
  worker({ cluster, log }) {
    log(cluster.worker.isConnected(), process.connected);
    cluster.worker.on('disconnect', () => log('worker', cluster.worker.isConnected()));
    cluster.worker.process.on('disconnect', () => log('process', cluster.worker.isConnected()));
    process.on('message', () => {
      cluster.worker.disconnect();
      log('at once', cluster.worker.isConnected(), cluster.worker.state);
    });
    process.send('ready');
  },
};

scenarios['isDead turns true at exit, however it ends'] = {
  async primary({ cluster, logIn }) {
    const workers = [cluster.fork({ END: 'exit' }), cluster.fork({ END: 'signal' })];
    for (const worker of workers) {
      const lane = `about ${worker.id}`;
      logIn(lane, worker.isDead());
      worker.on('online', () => logIn(lane, 'online', worker.isDead()));
      worker.on('exit', (...args) => logIn(lane, 'exit', args, worker.isDead()));
    }
    await times(cluster, 'exit', 2);
  },
  worker({ cluster, log }) {
    log(cluster.worker.isDead());
    if (process.env.END === 'exit') process.exit(3);
    process.kill(process.pid, 'SIGTERM');
  },
};

scenarios['ids count up and are not used again'] = {
  async primary({ cluster, log }) {
    const first = [cluster.fork(), cluster.fork()];
    log(
      first.map(({ id }) => id),
      Object.keys(cluster.workers),
    );
    await gone(cluster, 2);
    log(Object.keys(cluster.workers));
    const third = cluster.fork();
    log(third.id, Object.keys(cluster.workers));
    await gone(cluster, 1);
    log(Object.keys(cluster.workers));
  },
  worker({ cluster, log }) {
    log(cluster.worker.id);
    cluster.worker.disconnect();
  },
};

scenarios['destroy on the side of the primary after the worker has disconnected does no harm'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'disconnect');
    log('destroy', worker.destroy());
    await once(worker, 'exit');
    log('again', worker.destroy(), worker.kill('SIGKILL'), worker.process.killed);
  },
  worker({ cluster, log }) {
    log(cluster.worker.isConnected());
    // Stays until it is killed, so that both events come one after the other.
    setInterval(() => {}, 1000);
    cluster.worker.disconnect();
  },
};

scenarios['a worker passes on messages and errors of its process, once each'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    log('send', worker.send({ hello: 'worker' }));
    worker.on('message', (...args) => log('message', args));
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    cluster.worker.on('error', (...args) => log('error of the worker', args));
    process.on('message', (...args) => log('message of the process', args));
    cluster.worker.on('message', function (...args) {
      log('message of the worker', args, this === cluster.worker);
      process.emit('error', 'made up', 2, 3);
      cluster.worker.send('bye');
      cluster.worker.disconnect();
    });
  },
};

scenarios['what a program puts on the cluster or on a worker stays there'] = {
  async primary({ cluster, log }) {
    cluster.mine = { name: 'cluster' };
    cluster.settings.mine = { name: 'settings' };
    const worker = cluster.fork();
    worker.mine = { name: 'worker' };
    worker.process.mine = { name: 'process' };
    cluster.on('online', (online) => log(online.mine, online.process.mine, cluster.mine));
    await once(worker, 'exit');
    log(worker.mine, worker.process.mine, cluster.mine, cluster.settings.mine);
    cluster.workers.mine = 'mine';
    log(Object.keys(cluster.workers));
    delete cluster.workers.mine;
  },
  worker({ cluster }) {
    cluster.worker.disconnect();
  },
};

scenarios['the process of a worker is an ordinary child process'] = {
  async primary({ cluster, log }) {
    const { ChildProcess } = require('node:child_process');
    const worker = cluster.fork();
    const { process: child } = worker;
    log(child instanceof ChildProcess, child.constructor === ChildProcess, { pid: child.pid });
    log(child.spawnfile, child.spawnargs[0], child.spawnargs.at(-1), child.connected);
    const { exitCode, signalCode, killed } = child;
    log({ exitCode, signalCode, killed }, child.kill(0), typeof child.channel.fd);
    const [{ pid, ppid }] = await once(worker, 'message');
    log({ pid, ppid }, { pid: process.pid });
    log('kill', child.kill(), child.killed);
    child.on('close', (...args) => log('close', args, child.channel));
    await once(worker, 'exit');
    log(child.kill(), child.kill(0), child.connected);
  },
  worker({ log }) {
    log({ pid: process.pid, ppid: process.ppid });
    process.send({ pid: process.pid, ppid: process.ppid });
  },
};

module.exports = scenarios;
