'use strict';

// UDP sockets of a single worker: options, early closing, unref, implicit binding.

const dgram = require('node:dgram');
const { hasIPv6, isNode, once, times } = require('../helpers/scenario-tools');

const scenarios = {};

scenarios['an ipv6Only socket and an IPv4 one share a port number in one worker'] = {
  supported: hasIPv6,
  primary: ({ cluster }) => cluster.fork(),
  async worker({ cluster, log }) {
    const six = dgram.createSocket({ type: 'udp6', ipv6Only: true }).bind(0, '::');
    await once(six, 'listening');
    const four = dgram.createSocket('udp4').bind(six.address().port, '0.0.0.0');
    await once(four, 'listening');
    log(six.address(), four.address());
    cluster.worker.disconnect();
  },
};

scenarios['with reuseAddr two sockets of one worker share a port'] = {
  primary: ({ cluster }) => cluster.fork(),
  async worker({ cluster, log }) {
    const [first, second] = [1, 2].map(() => dgram.createSocket({ type: 'udp4', reuseAddr: true }));
    first.bind(0, '127.0.0.1');
    await once(first, 'listening');
    second.bind(first.address().port, '127.0.0.1');
    await once(second, 'listening');
    log(first.address(), second.address());
    cluster.worker.disconnect();
  },
};

scenarios['reusePort of a UDP socket is the affair of the worker alone'] = {
  supported: () => isNode(23, 1) || (isNode(22, 12) && !isNode(23)),
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    await once(worker, 'message');
    log(worker.state);
    worker.kill();
  },
  async worker({ log }) {
    const [first, second] = [1, 2].map(() => dgram.createSocket({ type: 'udp4', reusePort: true }));
    first.bind(0, '127.0.0.1');
    await once(first, 'listening');
    second.bind(first.address().port, '127.0.0.1');
    await once(second, 'listening');
    log(first.address(), second.address());
    process.send('bound');
  },
};

scenarios['a socket closed in its listening handler'] = {
  primary: ({ cluster, watch }) => (watch(), cluster.fork()),
  worker({ cluster, log }) {
    const socket = dgram.createSocket('udp4');
    socket.on('close', () => {
      log('close');
      cluster.worker.disconnect();
    });
    socket.bind(0, '127.0.0.1', () => log('listening', socket.close() === socket));
  },
};

scenarios['a socket closed before the primary answers never listens'] = {
  primary: ({ cluster, watch }) => (watch(), cluster.fork()),
  worker({ cluster, log }) {
    const socket = dgram.createSocket('udp4');
    socket.on('listening', () => log('never called'));
    socket.on('close', () => log('close'));
    socket.bind(0, '127.0.0.1');
    socket.close();
    const next = dgram.createSocket('udp4');
    next.bind(0, '127.0.0.1', () => cluster.worker.disconnect());
  },
};

scenarios['unref before the bind is answered counts when it is'] = {
  primary: ({ cluster, watch }) => (watch(), cluster.fork()),
  worker({ log }) {
    const socket = dgram.createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => {
      log('listening', process.getActiveResourcesInfo().includes('UDPWrap'));
      process.channel.unref();
    });
    socket.unref();
  },
};

scenarios['a socket bound by sending alone has a port of its own, an explicit one is shared'] = {
  async primary({ cluster, log }) {
    const receiver = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const ports = { bound: new Set(), unbound: new Set() };
    const PORT = receiver.address().port;
    for (let n = 0; n < 2; n += 1) cluster.fork({ PORT });
    const seen = await times(receiver, 'message', 4);
    for (const [text, { port }] of seen) ports[text].add(port);
    log(ports.bound.size, ports.unbound.size);
    receiver.close();
    for (const worker of Object.values(cluster.workers)) worker.kill();
  },
  async worker() {
    const PORT = Number(process.env.PORT);
    dgram.createSocket('udp4').send('unbound', PORT, '127.0.0.1');
    const bound = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(bound, 'listening');
    bound.send('bound', PORT, '127.0.0.1');
  },
};

module.exports = scenarios;
