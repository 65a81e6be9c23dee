'use strict';

// setupPrimary, cluster.settings and what workers get of them.

const path = require('node:path');
const { once, times } = require('../helpers/scenario-tools');

const scenarios = {};

scenarios['the settings are empty at first and then exactly the defaults'] = {
  args: ['one', 'two'],
  execArgv: ['--no-warnings'],
  primary({ cluster, log }) {
    log('before', cluster.settings);
    cluster.on('setup', (...args) => log('setup', args, args[0] === cluster.settings));
    log('returns', cluster.setupPrimary());
    log('after', cluster.settings, Object.keys(cluster.settings));
    log('execArgv is the very array', cluster.settings.execArgv === process.execArgv);
  },
};

scenarios['settings add up over calls, and each setup event has those of its call'] = {
  primary({ cluster, log }) {
    cluster.on('setup', function (...args) {
      log('setup', args, this === cluster, args[0] === cluster.settings);
    });
    cluster.setupPrimary({ exec: 'first.js' });
    cluster.setupPrimary({ args: ['second'], silent: true });
    log('at once', cluster.settings);
    cluster.setupPrimary({ exec: 'third.js', cwd: '/' });
    cluster.setupMaster({ silent: undefined, anything: 1 });
    setImmediate(() => {
      cluster.setupPrimary();
      log('later', cluster.settings);
    });
  },
};

scenarios['each fork has settings of its own, and those of before change nothing'] = {
  primary({ cluster, log }) {
    cluster.on('setup', ({ args }) => log('setup', args));
    cluster.setupPrimary({ args: ['first'] });
    const all = [cluster.settings];
    for (const args of [['second'], ['third'], ['fourth']]) {
      cluster.fork();
      all.push(cluster.settings);
      cluster.settings.args = args;
      cluster.fork();
      all.push(cluster.settings);
      all[0].args = ['of the first call'];
    }
    log(
      'different ones',
      new Set(all).size,
      all.map(({ args }) => args),
    );
  },
  worker({ cluster, log }) {
    log(process.argv.slice(2));
    cluster.worker.disconnect();
  },
};

scenarios['setupPrimary takes the strangest options'] = {
  primary({ cluster, log, attempt }) {
    for (const options of [null, undefined, 5, 'text', [1, 2], { a: 1 }]) {
      attempt('setupPrimary', () => cluster.setupPrimary(options));
      log(cluster.settings);
    }
  },
};

scenarios['the default arguments are read when setupPrimary is called'] = {
  args: ['given'],
  primary({ cluster, log }) {
    process.argv.push('pushed later');
    cluster.setupPrimary();
    log(cluster.settings.args);
    process.argv.push('after the call');
    cluster.setupPrimary();
    log(cluster.settings.args);
  },
};

scenarios['--prof in execArgv brings a file name for each process with it'] = {
  primary({ cluster, log }) {
    cluster.setupPrimary({ execArgv: ['--prof', '--no-warnings'] });
    log(cluster.settings.execArgv);
    cluster.setupPrimary({ execArgv: ['--prof', '--logfile=mine'] });
    log(cluster.settings.execArgv);
  },
};

scenarios['each fork is a setup, which comes before the fork event'] = {
  primary({ cluster, log }) {
    cluster.on('setup', (settings) => log('setup', settings));
    cluster.on('fork', (worker) => log('fork', worker.id));
    cluster.fork().process.on('exit', (...args) => log('exit', args));
    log('forked');
  },
  worker: ({ cluster }) => cluster.worker.disconnect(),
};

scenarios['arguments reach the workers, whose output is not inherited when silent'] = {
  async primary({ cluster, log, logIn }) {
    cluster.setupPrimary({ args: ['--flag', 'an argument', ''], silent: true });
    for (const worker of [cluster.fork(), cluster.fork()]) {
      const lane = `output of ${worker.id}`;
      const { stdin, stdout, stderr, stdio } = worker.process;
      logIn(lane, stdin, stdout, stderr, stdio);
      stdout.on('data', (data) => logIn(lane, String(data)));
      stderr.on('data', (data) => logIn(`errors of ${worker.id}`, String(data)));
    }
    await times(cluster, 'exit', 2);
    log(process.argv.slice(2), cluster.settings.args);
  },
  worker({ cluster, log }) {
    log(process.argv.slice(2), process.argv.length, process.execArgv);
    console.log('out of', cluster.worker.id);
    console.error('error of', cluster.worker.id);
    cluster.worker.disconnect();
  },
};

scenarios['the output of workers is inherited by default'] = {
  async primary({ cluster, log }) {
    const worker = cluster.fork();
    const { stdin, stdout, stderr, stdio } = worker.process;
    log(stdin, stdout, stderr, stdio);
    console.log('out of the primary');
    await once(worker, 'exit');
  },
  worker({ cluster }) {
    console.log('out of the worker');
    cluster.worker.disconnect();
  },
};

scenarios['the environment of a fork is laid over the one of that moment'] = {
  env: { KEPT: 'kept', OVER: 'primary', GONE: 'gone' },
  primary({ cluster }) {
    process.env.SET_LATER = 'set later';
    delete process.env.GONE;
    cluster.fork({ OVER: 'fork', NEW: 5, NOTHING: undefined, NODE_UNIQUE_ID: 77 });
    process.env.KEPT = 'changed';
    cluster.fork();
  },
  worker({ cluster, log }) {
    log(Object.keys(process.env).sort());
    const { KEPT, OVER, GONE, SET_LATER, NEW, NOTHING } = process.env;
    log({ KEPT, OVER, GONE, SET_LATER, NEW, NOTHING });
    log('send', cluster.worker.send({ hello: true }));
    cluster.worker.disconnect();
  },
};

scenarios['a string in place of the environment does no harm'] = {
  primary({ cluster }) {
    cluster.fork('ab');
    cluster.fork(null);
    cluster.fork(7);
  },
  worker({ cluster, log }) {
    log(Object.keys(process.env).sort(), process.env[0], process.env[1]);
    cluster.worker.disconnect();
  },
};

scenarios['a worker starts in the directory of its primary or in the one of the settings'] = {
  async primary({ cluster, log }) {
    log(cluster.settings.cwd);
    await once(cluster.fork(), 'exit');
    cluster.setupPrimary({ cwd: path.parse(process.cwd()).root });
    await once(cluster.fork(), 'exit');
    cluster.settings.cwd = undefined;
    await once(cluster.fork(), 'exit');
    log(cluster.settings);
  },
  worker({ cluster, log }) {
    log(process.cwd(), process.env.PWD);
    cluster.worker.disconnect();
  },
};

scenarios['settings changed directly between forks are honoured'] = {
  async primary({ cluster, log }) {
    cluster.settings.args = ['first'];
    await once(cluster.fork(), 'exit');
    cluster.settings.args.push('second', 3, true);
    cluster.settings.execArgv = ['--expose-gc'];
    await once(cluster.fork(), 'exit');
    cluster.settings = { exec: process.argv[1], args: ['replaced'] };
    await once(cluster.fork(), 'exit');
    log(cluster.settings);
  },
  worker({ cluster, log }) {
    log(process.argv.slice(2), process.execArgv, typeof gc);
    cluster.worker.disconnect();
  },
};

scenarios['workers have the execArgv of the primary, without any trace of the cluster'] = {
  execArgv: ['--stack-trace-limit=7', '--no-deprecation'],
  primary: ({ cluster }) => cluster.fork(),
  worker({ cluster, log }) {
    log(process.execArgv, Error.stackTraceLimit, process.noDeprecation);
    log(process.argv0, process.argv);
    cluster.worker.disconnect();
  },
};

scenarios['workers run as the user and group of the settings'] = {
  supported: () => process.getuid() === 0,
  async primary({ cluster, log }) {
    cluster.setupPrimary({ uid: 65534, gid: 65534 });
    await once(cluster.fork(), 'exit');
    log(process.getuid(), cluster.settings);
  },
  worker({ cluster, log }) {
    log(process.getuid(), process.getgid());
    cluster.worker.disconnect();
  },
};

scenarios['the environment names the scheduling policy'] = {
  env: { NODE_CLUSTER_SCHED_POLICY: 'none' },
  primary({ cluster, log }) {
    const { SCHED_NONE, SCHED_RR, schedulingPolicy } = cluster;
    log({ SCHED_NONE, SCHED_RR, schedulingPolicy });
  },
};

scenarios['a scheduling policy that nobody knows is round robin'] = {
  env: { NODE_CLUSTER_SCHED_POLICY: 'fair' },
  // Ours knows more policies, and warns of a name that it does not know.
  execArgv: ['--no-warnings'],
  primary({ cluster, log }) {
    log(cluster.schedulingPolicy);
  },
};

module.exports = scenarios;
