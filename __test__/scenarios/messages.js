'use strict';

// Messages of users between a primary and its workers.

const { once, times } = require('../helpers/scenario-tools');

const scenarios = {};

const LONG = 'ü'.repeat(400_000);

scenarios['messages reach the process, the worker and the cluster, with their arguments'] = {
  async primary({ cluster, log, watch }) {
    watch();
    const worker = cluster.fork();
    const [message] = await once(worker, 'message');
    log('first', message);
    log('send', worker.send({ from: 'primary', list: [1, 'two', null] }));
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    process.on('message', function (...args) {
      log('process', args, this === process);
    });
    cluster.worker.on('message', function (...args) {
      log('worker', args, this === cluster.worker);
      log('disconnect', cluster.worker.disconnect() === cluster.worker);
    });
    log('send', process.send({ from: 'worker' }));
  },
};

scenarios['a listener on cluster.worker alone is enough'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    log('send', worker.send('hello'));
    const [echo] = await once(worker, 'message');
    log('disconnect', worker.disconnect() === worker, echo);
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    cluster.worker.on('message', (message) => log('send', cluster.worker.send(message)));
  },
};

scenarios['every kind of value comes through as JSON would have it'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    const values = ['', 'text', 0, -0, 1.5, NaN, Infinity, true, false, null, [], {}, [undefined]];
    values.push({ a: undefined, b: NaN, c: () => {}, d: [Symbol('x'), -0] }, new Date(0));
    values.push(new Map([[1, 2]]), /x/, Buffer.from('ab'), new Uint16Array([1, 2]), Object(5));
    values.push({ toJSON: () => ({ made: 'by toJSON' }) }, new Error('not enumerable'));
    values.push(JSON.parse('{"__proto__": {"own": true}, "constructor": 1}'), Object.create(null));
    values.push('\u2028\0\ud800 "quoted" \n line', { deep: [{ er: [[['x']]] }] });
    for (const value of values) {
      worker.send(value);
      const [[echo]] = await times(worker, 'message', 1);
      log(echo, Object.keys(Object(echo)));
    }
    worker.disconnect();
  },
  worker({ log }) {
    process.on('message', (message) => {
      log(message);
      process.send(message);
    });
  },
};

scenarios['an Error sent as JSON arrives as a plain object with its enumerable keys'] = {
  async primary({ cluster, log }) {
    const [error] = await once(cluster.fork(), 'message');
    log(error, error instanceof Error, Object.keys(error));
  },
  worker({ cluster }) {
    process.send(Object.assign(new Error('gone'), { code: 'ECODE', errno: -1 }), () => {
      cluster.worker.disconnect();
    });
  },
};

scenarios['messages sent before the worker is online come in order after it is'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    log(
      [1, 2, 3].map((n) => worker.send(n)),
      worker.state,
    );
    worker.on('online', () => log('online', worker.send(4)));
    worker.on('message', (message) => log('echo', message));
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    process.on('message', (message) => {
      log(message);
      process.send(message);
      if (message === 4) cluster.worker.disconnect();
    });
  },
};

scenarios['a thousand messages of one turn arrive whole and in order, both ways'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    let next = 0;
    worker.on('message', ({ n, text }) => {
      if (n !== next || text.length !== n) log('out of order', n, next, text.length);
      next += 1;
      if (next === 1000) worker.disconnect();
    });
    for (let n = 0; n < 1000; n += 1) worker.send({ n, text: 'x'.repeat(n) });
    await once(worker, 'exit');
    log('received', next);
  },
  worker: () => process.on('message', (message) => process.send(message)),
};

for (const serialization of ['json', 'advanced']) {
  scenarios[`a message of 400000 two-byte characters, both ways (${serialization})`] = {
    async primary({ cluster, log }) {
      cluster.settings.serialization = serialization;
      const worker = cluster.fork();
      worker.send({ text: LONG });
      const [{ text }] = await once(worker, 'message');
      log(text, text === LONG);
      worker.disconnect();
    },
    worker({ log }) {
      process.on('message', (message) => {
        log(message);
        process.send(message);
      });
    },
  };
}

scenarios['messages sent and then exit are all delivered, however it exits'] = {
  stderr: true,
  async primary({ cluster, logIn }) {
    for (const END of ['exit', 'exception', 'return', 'disconnect']) {
      const worker = cluster.fork({ END });
      let count = 0;
      worker.on('message', (message) => {
        if (message.n === count) count += 1;
      });
      worker.process.on('close', (...args) => logIn(END, count, args));
    }
    await times(cluster, 'exit', 4);
  },
  worker({ cluster }) {
    for (let n = 0; n < 100; n += 1) process.send({ n });
    const { END } = process.env;
    if (END === 'exit') process.exit(1);
    if (END === 'exception') throw new Error('after sending');
    if (END === 'disconnect') process.disconnect();
    if (END === 'return') cluster.worker.disconnect();
  },
};

scenarios['messages sent by exit handlers are delivered'] = {
  stderr: true,
  async primary({ cluster, logIn }) {
    for (const END of ['exit', 'exception', 'return']) {
      const worker = cluster.fork({ END });
      worker.on('message', (message) => logIn(END, message));
      worker.process.on('close', (...args) => logIn(END, args));
    }
    await times(cluster, 'exit', 3);
  },
  worker({ cluster }) {
    const { END } = process.env;
    process.on('uncaughtExceptionMonitor', (error) => process.send(error.message));
    process.on('exit', (code) => {
      if (process.connected) process.send({ code });
    });
    if (END === 'exit') process.exit(4);
    if (END === 'exception') throw new Error('out of the worker');
    process.send('before', () => cluster.worker.disconnect());
  },
};

scenarios['a message listener that throws gives an exception for each message'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('message', (message) => log(message));
    for (const n of [1, 2, 3]) worker.send(n);
    worker.send('end');
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    process.on('uncaughtException', (error, origin) => {
      log(error, origin);
      process.send(error.message);
    });
    process.on('message', (message) => {
      if (message === 'end') cluster.worker.disconnect();
      else throw new Error(`thrown for ${message}`);
    });
  },
};

scenarios['a message listener of the primary that throws does not lose the next message'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    process.on('uncaughtException', (error) => log('caught', error));
    worker.on('message', (message) => {
      throw new Error(`thrown for ${message}`);
    });
    await once(worker, 'exit');
  },
  worker({ cluster }) {
    for (const n of [1, 2, 3]) process.send(n);
    cluster.worker.disconnect();
  },
};

scenarios['messages whose cmd begins with NODE_ are internal, others are not'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('message', (message) => log('message', message));
    worker.process.on('internalMessage', (message, ...rest) => {
      // Others belong to the cluster and are of its own making.
      if ('mine' in message) log('internalMessage', message, rest);
    });
    await once(worker, 'exit');
  },
  async worker({ cluster, log }) {
    const cmds = ['NODE_FOO', 'NODE_', 'NODE_X', 'node_foo', 'a NODE_FOO', 5, null, ['NODE_FOO']];
    for (const [mine, cmd] of cmds.entries()) {
      log('send', process.send({ cmd, mine }));
    }
    process.send({ cmd: 'NODE_CLUSTER', ack: 123456, mine: true }, (error) => {
      log('callback', error);
      cluster.worker.disconnect();
    });
  },
};

scenarios['messages that look internal reach no listener of the worker and do no harm'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    log(worker.send({ cmd: 'NODE_FOO', mine: 1 }));
    log(worker.send({ cmd: 'NODE_CLUSTER', act: 'nothing', mine: 2 }));
    worker.send({ cmd: 'NODE_CLUSTER', ack: 987654, mine: 3 }, (...args) => {
      log('callback', args);
      worker.send({ cmd: 'plain', mine: 4 });
    });
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    process.on('internalMessage', (message) => {
      if ('mine' in message) log('internalMessage', message);
    });
    process.on('message', (message) => {
      log('message', message);
      cluster.worker.disconnect();
    });
  },
};

module.exports = scenarios;
