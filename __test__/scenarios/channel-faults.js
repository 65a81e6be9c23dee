'use strict';

// The channel when something goes wrong: the other end dies or leaves with bytes under way, a handle
// cannot be sent, a program holds back what is sent.

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { ask, once, serveApart } = require('../helpers/scenario-tools');

const scenarios = {};

/** Blocks the event loop until another process has made the file of that name. */
function holdUntil(tmp, name) {
  while (!fs.existsSync(path.join(tmp, name)));
}

function release(tmp, name) {
  fs.writeFileSync(path.join(tmp, name), '');
}

/** Blocks the event loop until that process is dead; it may still have to be reaped. */
function holdUntilDead(pid) {
  const isAlive = () => {
    try {
      // Its descriptors are closed when the last one of its threads is gone.
      const threads = fs.readdirSync(`/proc/${pid}/task`);
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
      return threads.length > 1 || !'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0]);
    } catch {
      return false;
    }
  };
  while (isAlive());
}

// Both ends have something for the other one that it has not read when it dies.
const ENDS = {
  'is killed': (pid) => process.kill(pid, 'SIGKILL'),
  exits: () => {},
};
for (const [how, end] of Object.entries(ENDS)) {
  for (const [size, length] of Object.entries({ short: 5_000, long: 5_000_000 })) {
    scenarios[`a worker that ${how} with a ${size} message unread is heard to the end`] = {
      // libuv's watch of a broken socket ends, and Node's with it.
      mayLack: ['primary, disconnect'],
      async primary({ cluster, log, logIn, tmp }) {
        const worker = cluster.fork();
        worker.on('disconnect', () => logIn('disconnect', worker.isConnected()));
        worker.on('exit', (...args) => logIn('exit', args));
        log(await once(worker, 'message'));
        worker.on('message', (message) => log(message));
        // Whether it counts as sent is each implementation's own matter.
        worker.send('x'.repeat(length), () => logIn('callback', 'called'));
        release(tmp, 'sent');
        holdUntil(tmp, 'answered');
        end(worker.process.pid);
        holdUntilDead(worker.process.pid);
        await Promise.all([once(worker, 'disconnect'), once(worker, 'exit')]);
      },
      worker({ tmp }) {
        process.send('ready');
        // A turn of its own: what one turn sends behind its first message may leave at its end.
        setImmediate(() => {
          holdUntil(tmp, 'sent');
          process.send('last');
          release(tmp, 'answered');
          if (how === 'exits') process.exit(3);
          for (;;);
        });
      },
    };
  }
}

for (const length of [70_000, 5_000_000]) {
  scenarios[`a worker ends when its primary is killed with ${length} bytes unread`] = {
    async parent({ log, start }) {
      log(await once(start('primary'), 'exit'));
    },
    async primary({ cluster, tmp }) {
      const worker = cluster.fork();
      await once(worker, 'message');
      worker.send('x'.repeat(5_000));
      release(tmp, 'sent');
      holdUntil(tmp, 'answered');
      process.kill(process.pid, 'SIGKILL');
    },
    worker({ log, tmp }) {
      // Nothing but the end of the channel ends it.
      setInterval(() => {}, 1000);
      process.on('disconnect', () => log('disconnect', process.connected));
      process.on('message', (message) => log(message));
      process.send('ready');
      setImmediate(() => {
        holdUntil(tmp, 'sent');
        process.send('y'.repeat(length));
        const primary = process.ppid;
        release(tmp, 'answered');
        holdUntilDead(primary);
      });
    },
  };
}

scenarios['listen works while a sent socket has not been taken yet'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('message', (message, socket) => {
      log(message, socket);
      socket?.destroy();
    });
    worker.on('listening', ({ port }) => log('listening', { port }));
    await once(worker, 'exit');
  },
  async worker({ cluster, log, logIn }) {
    const apart = await serveApart((socket) => {
      process.send('socket', socket);
      const server = net.createServer().listen(0, '127.0.0.1', () => {
        log('listening', server.address());
        process.send('end', () => cluster.worker.disconnect());
      });
      apart.close();
    });
    net.connect(apart.address().port, '127.0.0.1').on('close', () => logIn('client', 'closed'));
  },
};

const HOLDING_BACK = {
  'until the next turn': (send) => setImmediate(send),
  'until the next tick': (send) => process.nextTick(send),
};
for (const [how, later] of Object.entries(HOLDING_BACK)) {
  scenarios[`a program may hold back what is sent with process.send ${how}`] = {
    async primary({ cluster, log, logIn }) {
      const worker = cluster.fork();
      worker.on('message', (message) => log(message));
      // In a lane of its own: only what the program says itself is held back.
      worker.on('listening', ({ port }) => logIn('listening', { port }));
      await Promise.all([once(worker, 'message'), once(worker, 'listening')]);
      // The builtin's own goodbye would be held back until it is too late.
      worker.process.kill('SIGKILL');
      log(await once(worker, 'exit'));
    },
    worker({ log }) {
      const { send } = process;
      process.send = (...args) => {
        later(() => send.apply(process, args));
        return true;
      };
      const server = net.createServer((socket) => socket.end('served'));
      server.listen(0, '127.0.0.1', async () => {
        const address = server.address();
        log('listening', address, await ask(address));
        process.send('once');
      });
    },
  };
}

scenarios['what cannot be sent with a socket blocks nothing behind it'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('message', (message, handle) => log(message, handle));
    await once(worker, 'exit');
  },
  async worker({ attempt }) {
    const circle = {};
    circle.self = circle;
    const apart = await serveApart((socket) => {
      attempt('a circle', () => process.send(circle, socket));
      attempt('before the next turn', () => process.send('a'));
      attempt('and another one', () => process.send('b'));
      // The builtin leaves the socket behind, which would keep the process.
      process.send('end', () => process.exit());
    });
    net.connect(apart.address().port, '127.0.0.1').on('error', () => {});
  },
};

scenarios['what waits behind a socket for a worker that ends is no error of the channel'] = {
  async primary({ cluster, log, attempt }) {
    const worker = cluster.fork();
    worker.on('error', (error) => log('error', error));
    await once(worker, 'online');
    const sockets = [];
    const apart = await serveApart((socket) => sockets.push(socket));
    for (let n = 0; n < 3; n++) {
      net.connect(apart.address().port, '127.0.0.1').on('error', () => {});
      await once(apart, 'connection');
    }
    attempt('the first', () => worker.send('end', sockets[0]));
    attempt('another one', () => worker.send('late', sockets[1]));
    attempt('a message', () => worker.send('late'));
    attempt('one more', () => worker.send('late', sockets[2]));
    holdUntilDead(worker.process.pid);
    log(await once(worker, 'exit'));
    process.exit();
  },
  worker() {
    process.on('message', () => process.exit());
  },
};

scenarios['messages that came with the one that made us disconnect are still told'] = {
  async primary({ cluster, log, tmp }) {
    const worker = cluster.fork();
    worker.on('message', (message) => {
      log(message, worker.isConnected());
      if (message === 'disconnect') worker.process.disconnect();
    });
    await once(worker, 'message');
    release(tmp, 'listening');
    holdUntil(tmp, 'sent');
    await once(worker, 'exit');
  },
  worker({ tmp }) {
    process.send('ready');
    holdUntil(tmp, 'listening');
    // A turn of its own each, so that all of them have left before the primary is released.
    const messages = ['disconnect', 'short', 'l'.repeat(3_000), { an: 'object' }, 'last'];
    const next = () => {
      process.send(messages.shift());
      if (messages.length > 0) setImmediate(next);
      else setImmediate(() => release(tmp, 'sent'));
    };
    setImmediate(next);
  },
};

scenarios['a worker that disconnects with a long message unsent sends it to the end'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('message', (message) => log(message));
    await once(worker, 'exit');
  },
  worker({ cluster }) {
    process.send('x'.repeat(5_000_000));
    process.send('behind it');
    cluster.worker.disconnect();
  },
};

// In the mode 'advanced' a plain object may travel as JSON, which must not be seen.
scenarios['a toJSON of any kind is not called by the mode advanced'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary({ serialization: 'advanced' });
    const worker = cluster.fork();
    worker.on('message', (message) => log(message, Object.keys(message)));
    await once(worker, 'exit');
  },
  worker({ cluster, attempt }) {
    const toJSON = () => ({ called: true });
    const hidden = Object.defineProperty({ a: 1 }, 'toJSON', { value: toJSON });
    class Inherited {
      b = 2;
      toJSON() {
        return toJSON();
      }
    }
    attempt('hidden', () => process.send(hidden));
    attempt('hidden further in', () => process.send({ in: { here: hidden } }));
    attempt('of its own', () => process.send({ toJSON }));
    attempt('no function', () => process.send({ toJSON: 1 }));
    attempt('inherited', () => process.send(new Inherited()));
    attempt('in a list', () => process.send([hidden, new Inherited()]));
    cluster.worker.disconnect();
  },
};

scenarios['a getter is called once by the mode advanced'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary({ serialization: 'advanced' });
    const worker = cluster.fork();
    worker.on('message', (message) => log(message));
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    let calls = 0;
    process.send({
      get calls() {
        return ++calls;
      },
    });
    log(calls);
    cluster.worker.disconnect();
  },
};

module.exports = scenarios;
