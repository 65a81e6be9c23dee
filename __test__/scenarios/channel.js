'use strict';

// The channel as an object: what it keeps alive, how it ends, and two of them in one process.

const { once } = require('../helpers/scenario-tools');

const scenarios = {};

function factsOfChannel(target) {
  const { connected, channel } = target;
  const types = ['ref', 'unref', 'on', 'emit'].map((name) => typeof channel?.[name]);
  const own = ['send', 'disconnect', 'connected', 'channel'].map((name) => typeof target[name]);
  return { connected, types, own, fd: typeof channel?.fd };
}

scenarios['both ends have send, disconnect, connected and channel'] = {
  async primary({ cluster, log, logIn }) {
    const worker = cluster.fork();
    log(factsOfChannel(worker.process));
    worker.on('disconnect', () => {
      logIn('end', factsOfChannel(worker.process), worker.process.channel);
    });
    await once(worker.process, 'close');
    log(factsOfChannel(worker.process), worker.process.channel);
  },
  worker({ cluster, log }) {
    log(factsOfChannel(process), Object.keys(process).includes('send'));
    process.on('disconnect', () => log(factsOfChannel(process), process.channel));
    cluster.worker.disconnect();
    log(factsOfChannel(process));
  },
};

scenarios['a worker with nothing to do lives until it is disconnected'] = {
  async primary({ cluster, watch }) {
    watch();
    const idle = cluster.fork();
    await once(idle, 'online');
    // It is idle for as long as another one takes to start, talk and end.
    await once(cluster.fork({ ROUND: 'yes' }), 'exit');
    idle.disconnect();
  },
  worker({ cluster }) {
    if (process.env.ROUND) process.send('round', () => cluster.worker.disconnect());
  },
};

scenarios['a worker without listeners of its own is kept alive by the channel, too'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'message');
    const other = cluster.fork({ OTHER: 'yes' });
    await once(other, 'exit');
    log(worker.isConnected(), worker.send('hello'));
    log(await once(worker, 'message'));
    worker.disconnect();
  },
  worker({ cluster, log }) {
    if (process.env.OTHER) return cluster.worker.disconnect();
    const listener = () => log('never called');
    process.on('message', listener);
    process.removeListener('message', listener);
    cluster.worker.once('message', (message) => process.send(message));
    return process.send('ready');
  },
};

scenarios['with the channel unreferenced an idle worker ends'] = {
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  worker({ cluster, log }) {
    process.on('message', () => log('never called'));
    cluster.worker.on('disconnect', () => log('never called'));
    log('unref', process.channel.unref());
    process.on('beforeExit', () => log('beforeExit', process.connected));
  },
};

scenarios['a channel that is referenced again keeps its worker alive'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'message');
    const other = cluster.fork({ OTHER: 'yes' });
    await once(other, 'exit');
    log(worker.isConnected(), worker.isDead());
    worker.disconnect();
  },
  worker({ cluster, log }) {
    if (process.env.OTHER) return cluster.worker.disconnect();
    process.channel.unref();
    log('ref', process.channel.ref());
    return process.send('ready');
  },
};

scenarios['messages still arrive over an unreferenced channel while something else is on'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.send('hello');
    log(await once(worker, 'message'));
    log(await once(worker, 'exit'));
  },
  worker() {
    process.channel.unref();
    const timer = setInterval(() => {}, 1000);
    process.on('message', (message) => process.send(message, () => clearInterval(timer)));
  },
};

scenarios['a message sent over an unreferenced channel is sent before the worker ends'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('message', (message) => log(message));
    log(await once(worker.process, 'close'));
  },
  worker({ log }) {
    process.channel.unref();
    process.send('x'.repeat(3_000_000), (error) => log('callback', error));
  },
};

scenarios['after the disconnect a message listener keeps nothing alive'] = {
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  worker({ cluster, log }) {
    process.on('disconnect', () => {
      process.on('message', () => log('never called'));
      log('disconnected', process.connected);
    });
    cluster.worker.disconnect();
  },
};

scenarios['process.disconnect in a worker ends it before later disconnect listeners run'] = {
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  worker({ cluster, log }) {
    setInterval(() => {}, 1000);
    cluster.worker.on('disconnect', () => log('of the worker', cluster.worker.state));
    process.on('disconnect', () => log('of the process'));
    log(process.disconnect(), process.connected);
  },
};

scenarios['a primary that is not to wait for its worker may end before it'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'message');
    worker.process.unref();
    worker.process.channel.unref();
    log('now there is nothing to wait for');
  },
  worker({ cluster, log }) {
    cluster.worker.on('disconnect', () => log('disconnect'));
    process.send('ready');
  },
};

scenarios['close of the process comes after exit and the end of its pipes and messages'] = {
  async primary({ cluster, log, logIn }) {
    cluster.setupPrimary({ silent: true });
    const worker = cluster.fork();
    const seen = new Set();
    worker.on('message', () => seen.add('message'));
    worker.process.stdout.on('data', (data) => logIn('output', String(data)));
    worker.process.stdout.on('close', () => seen.add('stdout'));
    worker.on('disconnect', () => seen.add('disconnect'));
    worker.on('exit', () => seen.add('exit'));
    log(await once(worker.process, 'close'), [...seen].sort(), worker.process.channel);
  },
  worker() {
    console.log('output');
    process.send('message');
    process.exit(3);
  },
};

scenarios['a disconnect listener on the process hears it once, and asynchronously'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    worker.process.on('disconnect', (...args) => log('disconnect', args));
    log(worker.process.disconnect(), worker.process.connected, worker.process.channel);
    log('after the call');
    worker.on('error', (error) => log('error of the worker', error));
    log('twice', worker.process.disconnect());
    await once(worker, 'exit');
  },
  worker: () => {},
};

scenarios['a primary with a channel of its own to its parent mixes up nothing'] = {
  async parent({ log, start }) {
    const primary = start('primary', { args: ['--of-parent'] });
    primary.on('message', (message) => log('from the primary', message));
    primary.send('for the worker');
    log(await once(primary, 'exit'));
  },
  primary({ cluster, log }) {
    log(process.connected, process.argv.slice(2), cluster.isPrimary);
    cluster.setupPrimary({ silent: true, windowsHide: true, args: [] });
    const worker = cluster.fork();
    process.on('message', worker.send.bind(worker));
    worker.on('message', (message, handle) => log(process.send(message, handle)));
    worker.on('exit', (...args) => {
      log(args, process.connected, process.send('last'));
      process.disconnect();
    });
    worker.on('online', (...args) => log('online', args));
  },
  worker({ cluster, log }) {
    process.on('message', (message) => {
      log(message, process.argv.slice(2));
      process.send(`seen by worker ${cluster.worker.id}`);
      cluster.worker.disconnect();
    });
  },
};

scenarios['a detached primary with a parent forks, talks and ends'] = {
  async parent({ log, start }) {
    const primary = start('primary', { detached: true });
    log(await once(primary, 'message'));
    log(await once(primary, 'exit'));
  },
  async primary({ cluster, log }) {
    cluster.setupPrimary({ silent: true, windowsHide: true });
    const worker = cluster.fork();
    const [message] = await once(worker, 'message');
    process.send(message);
    worker.disconnect();
    log(await once(worker, 'exit'));
    process.disconnect();
  },
  worker: () => process.send('hello'),
};

module.exports = scenarios;
