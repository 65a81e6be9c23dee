'use strict';

// serialization: 'advanced'.

const { once, times } = require('../helpers/scenario-tools');

const scenarios = {};

class Mine {
  x = 1;
}

function echo({ log }) {
  process.on('message', (message) => {
    log(message);
    process.send(message);
  });
}

scenarios['set directly on the settings it is honoured, and circles make the round trip'] = {
  async primary({ cluster, log }) {
    cluster.settings.serialization = 'advanced';
    const worker = cluster.fork();
    const message = { name: 'circle', list: [] };
    message.self = message;
    message.list.push(message);
    log('send', worker.send(message));
    const [received] = await once(worker, 'message');
    log(received.self === received, received.list[0] === received, received.name);
    worker.disconnect();
  },
  worker: echo,
};

scenarios['every kind of value that can be cloned keeps its kind'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary({ serialization: 'advanced' });
    const worker = cluster.fork();
    const values = [new Map([['a', { b: 1 }]]), new Set([1, 'x']), { big: 2n ** 70n }, new Date(5)];
    values.push(/reg/gi, Buffer.from('bytes'), new Uint8Array([1, 2]), new Float64Array([1.5]));
    values.push(new ArrayBuffer(3), new DataView(new ArrayBuffer(2)), Object(5), Object('s'));
    values.push({ a: undefined, b: NaN, c: -0 }, [undefined], new Array(2), 'text', 7, true, null);
    values.push(new BigInt64Array([5n]), Object.create(null), new Mine());
    for (const value of values) {
      worker.send(value);
      const [[received, ...rest]] = await times(worker, 'message', 1);
      log(received, Object.keys(Object(received)).length, rest);
    }
    worker.disconnect();
  },
  worker: echo,
};

scenarios['errors arrive as errors of their kind'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary({ serialization: 'advanced' });
    const worker = cluster.fork();
    const errors = [new Error('plain'), new TypeError('type'), new RangeError('', { cause: 'x' })];
    errors.push(Object.assign(new Error('with code'), { code: 'ECODE' }));
    for (const error of errors) {
      worker.send(error);
      const [[received]] = await times(worker, 'message', 1);
      log(received.name, received.message, received.constructor.name, received instanceof Error);
      log(received.stack === error.stack, received.code, received.cause);
    }
    worker.disconnect();
  },
  worker: () => process.on('message', (message) => process.send(message)),
};

scenarios['values that cannot be cloned throw and leave the channel as it was'] = {
  async primary({ cluster, log, attempt }) {
    cluster.setupPrimary({ serialization: 'advanced' });
    const worker = cluster.fork();
    attempt('function', () => worker.send(() => {}));
    attempt('nested function', () => worker.send({ f: () => {} }));
    attempt('nested symbol', () => worker.send({ s: Symbol('x') }));
    attempt('bigint', () => worker.send(5n));
    attempt('promise', () => worker.send(Promise.resolve()));
    attempt('weak map', () => worker.send({ w: new WeakMap() }, () => log('never called')));
    attempt('undefined', () => worker.send(undefined));
    worker.send('still there');
    log(await once(worker, 'message'));
    worker.disconnect();
  },
  worker({ log, attempt }) {
    attempt('nested function', () => process.send({ f: () => {} }));
    process.on('message', (message) => {
      log(message);
      process.send(message);
    });
  },
};

scenarios['buffers of several sizes arrive byte by byte the same, in one turn'] = {
  async primary({ cluster, log }) {
    cluster.setupPrimary({ serialization: 'advanced' });
    const worker = cluster.fork();
    const sizes = [0, 1, 255, 256, 65_535, 65_536, 1_000_001, 3];
    for (const size of sizes) worker.send({ size, bytes: Buffer.alloc(size, `${size}`) });
    log(await times(worker, 'message', sizes.length));
    worker.disconnect();
  },
  worker: echo,
};

scenarios['the worker has no trace of it, and its own child is not concerned'] = {
  async primary({ cluster }) {
    cluster.setupPrimary({ serialization: 'advanced' });
    await once(cluster.fork(), 'exit');
  },
  async worker({ cluster, log, start }) {
    log(Object.keys(process.env).sort(), process.execArgv);
    const child = start('child');
    child.send({ map: new Map([[1, 2]]) });
    await once(child, 'exit');
    cluster.worker.disconnect();
  },
  async child({ cluster, log }) {
    const [message] = await once(process, 'message');
    log(message, cluster.isPrimary, Object.keys(process.env).sort());
    process.disconnect();
  },
};

scenarios['listening, handles and events work with it as well'] = {
  async primary({ cluster, log, watch }) {
    const { ask } = require('../helpers/scenario-tools');
    watch();
    cluster.setupPrimary({ serialization: 'advanced' });
    const worker = cluster.fork();
    const [{ port }] = await once(worker, 'listening');
    log(await ask({ port }));
    const server = require('node:net').createServer((socket) => worker.send('socket', socket));
    server.listen(0, '127.0.0.1', async () => {
      log(await ask(server.address()));
      server.close();
      worker.disconnect();
    });
  },
  worker({ log }) {
    const server = require('node:net').createServer((socket) => socket.end('hello'));
    server.listen(0, '127.0.0.1');
    process.on('message', (message, socket) => {
      log(message, socket);
      socket.end('sent');
    });
  },
};

module.exports = scenarios;
