'use strict';

// send(): its argument forms, what it returns, when it calls back, what it refuses.

const { once, times } = require('../helpers/scenario-tools');

const scenarios = {};

const throwing = {
  get x() {
    throw new Error('from the getter');
  },
};

const WRONG_MESSAGES = [undefined, () => {}, Symbol('x'), 5n, { n: 5n }, throwing];

// Both ends take the same arguments, so both get the same list. `target.send` may be either.
function tryWrongArguments(send, attempt) {
  for (const [at, message] of WRONG_MESSAGES.entries()) attempt(at, () => send(message));
  const circle = {};
  circle.self = circle;
  attempt('circle', () => send(circle));
  attempt('no arguments', () => send());
  for (const handle of [{}, 5, 'text', true, Symbol('x'), [], new Map()]) {
    attempt(`handle ${String(handle)}`, () => send('message', handle));
  }
  for (const options of [null, 5, 'text', true, [], Symbol('x')]) {
    attempt(`options ${String(options)}`, () => send('message', undefined, options));
  }
  attempt('a wrong message and a callback', () => send(undefined, () => {}));
  attempt('callback is no function', () => send('message', undefined, undefined, 'callback'));
  attempt('falsy handles', () => [null, 0, '', false].map((handle) => send('message', handle)));
}

scenarios['the primary throws at once for wrong arguments'] = {
  async primary({ cluster, log, attempt }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    tryWrongArguments((...args) => worker.send(...args), attempt);
    worker.send('end');
    log(await once(worker, 'message'));
    worker.disconnect();
  },
  worker({ log }) {
    process.on('message', (...args) => {
      log(args);
      if (args[0] === 'end') process.send('ended');
    });
  },
};

scenarios['a worker throws at once for wrong arguments'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('message', (...args) => {
      log(args);
      if (args[0] === 'end') worker.disconnect();
    });
    await once(worker, 'exit');
  },
  worker({ attempt }) {
    tryWrongArguments((...args) => process.send(...args), attempt);
    process.send('end');
  },
};

scenarios['wrong arguments before the worker is online throw as well'] = {
  primary({ cluster, attempt }) {
    const worker = cluster.fork();
    tryWrongArguments((...args) => worker.send(...args), attempt);
    worker.disconnect();
  },
  worker: () => {},
};

function sendInAllForms(send, log) {
  return new Promise((resolve) => {
    const callback = (label) =>
      function (...args) {
        log('callback', label, args, this === undefined || this === globalThis);
        if (label === 'last') resolve();
      };
    log(send('a', callback('second place')));
    log(send('b', undefined, callback('third place')));
    log(send('c', undefined, {}, callback('fourth place')));
    log(send('d', null, undefined, callback('fourth place, no options')));
    log(send('e', null, { keepOpen: true, swallowErrors: true }));
    log(
      send(
        'f',
        () => log('second place'),
        {},
        () => log('not called'),
      ),
    );
    log(send('g', callback('last')));
    log('after the calls');
  });
}

scenarios['worker.send calls back in every place of the callback, and not at once'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    await sendInAllForms((...args) => worker.send(...args), log);
    worker.disconnect();
  },
  worker: ({ log }) => process.on('message', (...args) => log(args)),
};

scenarios['process.send calls back in every place of the callback, and not at once'] = {
  async primary({ cluster, log }) {
    cluster.fork().on('message', (...args) => log(args));
  },
  async worker({ cluster, log }) {
    await sendInAllForms((...args) => process.send(...args), log);
    cluster.worker.disconnect();
  },
};

scenarios['send tells by its result when the backlog is long'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    // Nobody reads until it goes on, however long this process has to wait for a CPU.
    worker.process.kill('SIGSTOP');
    log(worker.send('small'), worker.send('x'.repeat(10_000_000)), worker.send('small'));
    worker.process.kill('SIGCONT');
    await times(worker, 'message', 3);
    log(worker.send('small'));
    await once(worker, 'message');
    worker.disconnect();
  },
  worker: () => process.on('message', (message) => process.send(message.length)),
};

scenarios['a callback that throws withholds nothing from those that come with it'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    process.on('uncaughtException', ({ message }) => log('uncaught', message));
    // As long as the worker is starting, nobody reads.
    worker.send('x'.repeat(10_000_000), (error) => log('long', error));
    for (let n = 0; n < 3; n++) {
      worker.send(n, (error) => {
        log(n, error);
        throw new Error(`from ${n}`);
      });
    }
    await once(worker, 'message');
    worker.disconnect();
  },
  worker: () => process.on('message', (message) => message === 2 && process.send('all')),
};

scenarios['what has not left when the channel is closed still calls back'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'message');
    // Nobody reads until it goes on.
    worker.process.kill('SIGSTOP');
    const fates = [10_000_000, 5].map(
      (length) => new Promise((resolve) => worker.send('x'.repeat(length), resolve)),
    );
    worker.process.disconnect();
    worker.process.kill('SIGCONT');
    log(await Promise.all(fates));
  },
  worker: () => process.send('running'),
};

scenarios['worker.send as a bare function is bound by the caller'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    process.on('relay', worker.send.bind(worker));
    log('relayed', process.emit('relay', 'to the worker'));
    worker.on('message', console.log.bind(null, 'from the worker'));
    await once(worker, 'exit');
  },
  worker({ cluster, log }) {
    process.on('message', (message) => {
      log(message, process.send.call(process, 'reply'));
      cluster.worker.disconnect();
    });
  },
};

// A closed channel answers in the same way on both sides.
async function sendAfterTheEnd(target, log) {
  const events = [];
  const onError = (error) => events.push('error', error);
  target.on('error', onError);
  log(
    'with a callback',
    target.send('x', (...args) => events.push('callback', args)),
  );
  log(
    'with it in fourth place',
    target.send('x', null, {}, (error) => events.push(error.code)),
  );
  log('without', target.send('x'));
  log('wrong arguments', target.send(undefined, {}));
  log('nothing at once', events.length);
  await new Promise((resolve) => setImmediate(resolve));
  log(events);
  target.removeListener('error', onError);
  target.once('error', (error) => log('disconnect', error));
  log('returns', target.disconnect());
}

scenarios['after the disconnect send gives errors on both sides'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    worker.on('error', (error) => log('error of the worker', error));
    await once(worker, 'disconnect');
    await sendAfterTheEnd(worker.process, log);
    log(
      'worker.send',
      worker.send('x'),
      worker.send('y', (error) => log(error.code)),
    );
    await new Promise((resolve) => setImmediate(resolve));
    log(worker.process.connected, worker.process.channel);
  },
  worker({ cluster, log }) {
    cluster.worker.on('error', (error) => log('error of the worker', error));
    process.on('disconnect', () => sendAfterTheEnd(process, log));
    cluster.worker.disconnect();
  },
};

scenarios['an error of a send nobody waits for is an error event, and thrown if nobody listens'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'disconnect');
    process.once('uncaughtException', (error, origin) => {
      log(error, origin);
      worker.kill();
    });
    log(worker.send('nobody listens'));
  },
  worker({ cluster }) {
    setInterval(() => {}, 1000);
    cluster.worker.disconnect();
  },
};

scenarios['sends to a worker that dies meanwhile end in a callback with an error'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    await once(worker, 'online');
    worker.process.kill('SIGSTOP');
    const large = 'x'.repeat(1_000_000);
    const errors = [];
    const all = [1, 2, 3].map(
      () => new Promise((resolve) => worker.send(large, (error) => resolve(errors.push(error)))),
    );
    worker.process.kill('SIGKILL');
    await Promise.all(all);
    log(
      errors.length,
      errors.every((error) => error === null || error instanceof Error),
    );
  },
  worker: () => {},
};

module.exports = scenarios;
