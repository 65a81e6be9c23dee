'use strict';

// UDP sockets in workers: one socket for all of them, whatever the policy.

const dgram = require('node:dgram');
const { factsOf, freeUdpPort, hasIPv6, once, times } = require('../helpers/scenario-tools');
const { underBothPolicies } = require('../helpers/scenario-tools');

const scenarios = {};

// Each worker takes ten packets and closes, so that with forty all of them must have had their
// share. Nobody can say who is first.
async function sendUntilAllAreServed({ cluster, log }, port) {
  const sender = dgram.createSocket('udp4');
  const served = times(cluster, 'message', 4);
  for (let n = 0; n < 40; n += 1) {
    await new Promise((resolve) => sender.send(`packet ${n}`, port, '127.0.0.1', resolve));
  }
  log((await served).map(([, { count }]) => count));
  sender.close();
  cluster.disconnect();
}

function takeTen(bind) {
  const socket = dgram.createSocket('udp4');
  let count = 0;
  socket.on('message', (data, { size }) => {
    if (size === data.length) count += 1;
    if (count === 10) socket.close(() => process.send({ count }));
  });
  bind(socket);
}

function listeningEvents(binds) {
  return {
    async primary({ cluster, watch }) {
      watch();
      await once(cluster.fork(), 'exit');
    },
    async worker({ cluster, log }) {
      for (const [type, ...args] of binds) {
        const socket = dgram.createSocket(type);
        log(type, args, socket.bind(...args) === socket);
        await once(socket, 'listening');
        log(socket.address(), cluster.worker.state);
      }
      cluster.worker.disconnect();
    },
  };
}

Object.assign(
  scenarios,
  underBothPolicies(() => ({
    'four workers on port 0 share one socket, and no packet is lost': {
      async primary({ cluster, log }) {
        for (let n = 0; n < 4; n += 1) cluster.fork();
        const seen = await times(cluster, 'listening', 4);
        log(
          seen.map(([, address]) => address),
          Object.keys(seen[0][1]),
        );
        await sendUntilAllAreServed({ cluster, log }, seen[0][1].port);
      },
      worker: ({ log }) => takeTen((socket) => socket.bind(0, () => log(socket.address()))),
    },

    'a listening event per bind, with the address that was asked for': listeningEvents([
      ['udp4'],
      ['udp4', 0, '127.0.0.1'],
      ['udp4', { port: 0 }],
    ]),

    'the same for IPv6': { ...listeningEvents([['udp6', 0, '::1']]), supported: hasIPv6 },

    'bound sockets keep nobody alive after the disconnect': {
      async primary({ cluster, log, watch }) {
        watch();
        const [first, second] = [cluster.fork(), cluster.fork()];
        log(first.send('bind'), second.send('bind'));
        await times(cluster, 'message', 2);
        await new Promise((resolve) => cluster.disconnect(resolve));
        log(cluster.workers);
      },
      worker({ cluster, log }) {
        cluster.worker.on('disconnect', () => log('disconnect'));
        process.on('message', (message) => {
          log(message);
          const socket = dgram.createSocket('udp4');
          socket.on('close', () => log('close'));
          socket.bind(0, '127.0.0.1', () => process.send('bound'));
        });
      },
    },

    'a worker without a socket leaves while another has one': {
      async primary({ cluster, watch }) {
        watch();
        const [idle, busy] = [cluster.fork({ IDLE: 'yes' }), cluster.fork()];
        await Promise.all([once(idle, 'online'), once(busy, 'listening')]);
        idle.disconnect();
        await once(idle, 'exit');
        await new Promise((resolve) => cluster.disconnect(resolve));
      },
      worker() {
        if (!process.env.IDLE) dgram.createSocket('udp4').bind(0, '127.0.0.1');
      },
    },

    'sockets closed when bound, with a new one bound there': {
      async primary({ cluster, watch }) {
        watch();
        await once(cluster.fork(), 'exit');
      },
      worker({ cluster, log }) {
        const next = (n) => {
          const socket = dgram.createSocket('udp4');
          socket.bind(0, '127.0.0.1', () => {
            socket.close(() => log('close', n));
            if (n > 0) next(n - 1);
            else cluster.worker.disconnect();
          });
        };
        next(4);
      },
    },

    'a shared port, an exclusive one, and one that another worker has': {
      async primary({ cluster, log }) {
        const PORT = await freeUdpPort();
        for (const OPTIONS of ['{}', '{"exclusive":false}', '{"exclusive":true}']) {
          const worker = cluster.fork({ PORT, OPTIONS });
          log((await once(worker, 'message'))[0]);
        }
        for (const worker of Object.values(cluster.workers)) worker.kill();
      },
      worker({ log }) {
        const socket = dgram.createSocket('udp4');
        socket.on('error', (error) => {
          log(factsOf(error));
          process.send(error.code);
        });
        socket.on('listening', () => process.send(socket.address()));
        const options = JSON.parse(process.env.OPTIONS);
        socket.bind({ port: Number(process.env.PORT), address: '127.0.0.1', ...options });
      },
    },

    'a port that a socket of the primary has gives EADDRINUSE': {
      async primary({ cluster, watch }) {
        watch();
        const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
        await once(socket, 'listening');
        await once(cluster.fork({ PORT: socket.address().port }), 'exit');
        socket.close();
      },
      worker({ cluster, log, attempt }) {
        const socket = dgram.createSocket('udp4');
        socket.on('listening', () => log('never called'));
        socket.on('error', (error) => {
          log(factsOf(error));
          attempt('address', () => socket.address());
          socket.close(() => log('close'));
          cluster.worker.disconnect();
        });
        socket.bind(Number(process.env.PORT), '127.0.0.1');
      },
    },
  })),
);

scenarios['four workers share a descriptor of the primary'] = {
  async primary({ cluster, log }) {
    const socket = dgram.createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const { port } = socket.address();
    const handle = handleOf(socket);
    // The primary does not read from it: the packets are for the workers.
    handle.recvStop();
    const { fd } = handle;
    for (let n = 0; n < 4; n += 1) cluster.fork({ FD: fd });
    await times(cluster, 'listening', 4);
    await sendUntilAllAreServed({ cluster, log }, port);
    socket.close();
  },
  worker: ({ log }) => {
    const fd = Number(process.env.FD);
    takeTen((socket) => socket.bind({ fd }, () => log(socket.address())));
  },
};

// There is no public way to the descriptor of a UDP socket.
function handleOf(socket) {
  const symbols = Object.getOwnPropertySymbols(socket);
  return socket[symbols.find(({ description }) => description === 'state symbol')].handle;
}

module.exports = scenarios;
