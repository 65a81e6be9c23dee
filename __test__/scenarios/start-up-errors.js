'use strict';

// Forks that cannot succeed, and workers that never come up.

const fs = require('node:fs');
const { once } = require('../helpers/scenario-tools');

const scenarios = {};

// Each attempt takes an id, also when it fails.
scenarios['fork throws for settings of the wrong type, and an id is used up each time'] = {
  async primary({ cluster, log, attempt }) {
    const wrong = [
      { serialization: 'pickle' },
      { serialization: null },
      { args: 'text' },
      { exec: 5 },
      { cwd: 5 },
      { uid: 'nobody' },
      { gid: 1.5 },
      { stdio: 'sideways' },
      { stdio: ['pipe', 'pipe', 'pipe'] },
      { stdio: ['ipc', 'ipc', 'pipe'] },
      { stdio: ['ignore', 'what', 'pipe', 'ipc'] },
      { windowsHide: 'yes' },
      { silent: true, exec: 'a\0b' },
    ];
    for (const settings of wrong) {
      cluster.settings = { ...settings };
      attempt(Object.keys(settings).join(), () => cluster.fork());
    }
    cluster.settings = { exec: process.argv[1] };
    attempt('env', () => cluster.fork({ NAME: 'a\0b' }));
    log(Object.keys(cluster.workers), cluster.settings);
    const worker = cluster.fork();
    log('id', worker.id);
    await once(worker, 'exit');
  },
  worker: ({ cluster }) => cluster.worker.disconnect(),
};

scenarios['a fork listener that hears nothing of a fork that threw'] = {
  primary({ cluster, log, attempt }) {
    cluster.on('setup', () => log('setup'));
    cluster.on('fork', () => log('fork'));
    cluster.settings.serialization = 'pickle';
    attempt('fork', () => cluster.fork());
  },
};

scenarios['a worker whose working directory does not exist gives an error event'] = {
  primary({ cluster, log, logIn }) {
    cluster.setupPrimary({ cwd: '/does/not/exist' });
    const worker = cluster.fork();
    log(worker.process.pid, worker.isConnected(), worker.isDead(), worker.state);
    cluster.on('exit', (...args) => logIn('ends', 'exit', args));
    cluster.on('fork', (...args) => log('fork', args));
    cluster.on('disconnect', (...args) => logIn('ends', 'disconnect', args));
    worker.on('error', (error) => {
      const { name, message, code, syscall, path } = error;
      log('error', { name, message, code, syscall, path });
    });
    worker.process.on('exit', (...args) => logIn('ends', 'process exit', args));
  },
};

scenarios['a worker whose script does not exist exits with 1'] = {
  async primary({ cluster, log, watch }) {
    watch();
    cluster.setupPrimary({ exec: '/does/not/exist.js', silent: true });
    const worker = cluster.fork();
    let text = '';
    worker.process.stderr.on('data', (data) => (text += data));
    await once(worker.process, 'close');
    log(text.split('\n').find((line) => line.startsWith('Error:')));
    log(Object.keys(cluster.workers));
  },
};

scenarios['a worker that throws at start exits with 1 after it has been online'] = {
  stderr: true,
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  worker() {
    throw new TypeError('thrown at start');
  },
};

scenarios['a worker that node refuses to start exits with 9 and is never online'] = {
  stderr: true,
  async primary({ cluster, watch }) {
    watch();
    cluster.setupPrimary({ execArgv: ['--no-such-option'] });
    await once(cluster.fork(), 'exit');
  },
};

scenarios['a fork without a free descriptor is an error event, and the next one works'] = {
  async primary({ cluster, log }) {
    const files = [];
    try {
      for (;;) files.push(fs.openSync('/dev/null'));
    } catch {
      // There is none left.
    }
    const worker = cluster.fork();
    const [{ code, errno, syscall, path }] = await once(worker, 'error');
    for (const file of files) fs.closeSync(file);
    log(code, errno, syscall, path, worker.process.pid, worker.isConnected());
    log(Object.keys(cluster.workers));
    const next = cluster.fork();
    await once(next, 'online');
    next.process.kill('SIGKILL');
    log(await once(next, 'exit'));
  },
  // Stays until it is killed.
  worker: () => process.on('message', () => {}),
};

module.exports = scenarios;
