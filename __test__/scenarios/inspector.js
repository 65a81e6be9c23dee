'use strict';

// Inspector ports of workers. Which ports are free is the system's affair: what counts is what
// stands on the command lines.

const net = require('node:net');
const { once } = require('../helpers/scenario-tools');

const scenarios = {};

const flagsOf = ({ process: { spawnargs } }) =>
  spawnargs.filter((arg) => /inspect|debug/.test(arg));

/** Ports near the one of the primary, which is another one in each run, as distances from it. */
function relativeTo(port, flags) {
  const toDistance = (digits) => {
    const distance = Number(digits) - port;
    return distance > 0 && distance < 10 ? `+${distance}` : digits;
  };
  return flags.map((flag) => flag.replace(/\d{4,}$/, toDistance));
}

function primaryPort() {
  const url = require('node:inspector').url();
  return url === undefined ? process.debugPort : Number(new URL(url).port);
}

// Workers that do not start for a port taken by somebody else are not the cluster's mistake.
function forkAndLook(settings) {
  return {
    stderr: true,
    async primary({ cluster, log, attempt }) {
      cluster.setupPrimary({ silent: true, ...settings });
      const port = primaryPort();
      for (let n = 0; n < 3; n += 1) {
        attempt('fork', () => relativeTo(port, flagsOf(cluster.fork())));
      }
      for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
      log(Object.keys(cluster.workers));
    },
    worker: () => {},
  };
}

scenarios['without an inspector in the primary there is none in the workers'] = forkAndLook({});

const FLAGS = ['--inspect=0', '--inspect=127.0.0.1:0', '--inspect-port=0', '--inspect-port=65534'];

for (const flag of [...FLAGS, '--debug-port=23456', '--inspect-port=[::1]:23456']) {
  scenarios[`workers of a primary with ${flag} get the ports after its own`] = {
    ...forkAndLook({}),
    execArgv: [flag],
  };
}

scenarios['workers get the inspector of the settings alone'] = forkAndLook({
  execArgv: ['--inspect=0'],
});

const PORTS = { zero: 0, number: 12_345, string: '12345', large: 65_536, negative: -1, null: null };

for (const [kind, inspectPort] of Object.entries(PORTS)) {
  for (const execArgv of [[], ['--inspect=0']]) {
    const where = execArgv.length === 0 ? 'without an inspector' : 'with one';
    scenarios[`an inspectPort that is ${kind}, in a primary ${where}`] = {
      ...forkAndLook({ inspectPort }),
      execArgv,
    };
  }
}

scenarios['an inspectPort that is a function is called once for each fork'] = {
  stderr: true,
  execArgv: ['--inspect=0'],
  async primary({ cluster, log, attempt }) {
    const ports = [12_346, 0, 'text', 70_000, undefined];
    cluster.setupPrimary({ silent: true, inspectPort: (...args) => (log(args), ports.shift()) });
    while (ports.length > 0) attempt('fork', () => flagsOf(cluster.fork()));
    for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL');
  },
  worker: () => {},
};

scenarios['--inspect-brk stops a worker before its script, and SIGTERM ends it'] = {
  stderr: true,
  async primary({ cluster, log, watch }) {
    watch();
    cluster.setupPrimary({ execArgv: ['--inspect-brk=0'], silent: true });
    const worker = cluster.fork();
    // The one line that it says when it waits.
    await once(worker.process.stderr, 'data');
    log(worker.process.kill('SIGTERM'), flagsOf(worker).length);
    await once(worker, 'exit');
  },
  worker: ({ log }) => log('never comes here'),
};

scenarios['an inspector by NODE_OPTIONS set at run time'] = {
  stderr: true,
  async primary({ cluster, watch }) {
    watch();
    process.env.NODE_OPTIONS = '--inspect=0';
    cluster.setupPrimary({ silent: true });
    const worker = cluster.fork();
    await once(worker, 'online');
    worker.disconnect();
    await once(worker, 'exit');
  },
  worker: () => net.createServer().listen(0, '127.0.0.1'),
};

module.exports = scenarios;
