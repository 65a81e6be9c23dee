'use strict';

// What comes before and around the script of a worker: preloads, modules, other scripts, threads.

const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { ask, once } = require('../helpers/scenario-tools');

const PROGRAMS = path.join(__dirname, 'programs');

const scenarios = {};

for (const [flag, file] of [
  ['--require', 'preload.js'],
  ['--import', 'preload.mjs'],
]) {
  const execArgv = [flag, path.join(PROGRAMS, file)];

  scenarios[`a file preloaded by ${flag} knows already which worker it is in`] = {
    execArgv,
    async primary({ cluster, log, watch }) {
      watch();
      log(process.execArgv.length, cluster.isPrimary);
      await once(cluster.fork(), 'exit');
      await once(cluster.fork(), 'exit');
    },
    worker: ({ log }) => log('never comes here'),
  };

  scenarios[`a file preloaded by ${flag} of the settings alone`] = {
    async primary({ cluster, watch }) {
      watch();
      cluster.setupPrimary({ execArgv });
      await once(cluster.fork(), 'exit');
    },
    worker: ({ log }) => log('never comes here'),
  };

  scenarios[`a file preloaded by ${flag} of NODE_OPTIONS alone`] = {
    async primary({ cluster, watch }) {
      watch();
      process.env.NODE_OPTIONS = execArgv.join(' ');
      await once(cluster.fork(), 'exit');
    },
    worker: ({ log }) => log('never comes here'),
  };
}

scenarios['an environment file may preload the builtin before all else'] = {
  async primary({ cluster, log, watch, tmp }) {
    watch();
    const file = path.join(tmp, 'environment');
    fs.writeFileSync(file, `NODE_OPTIONS="--require ${path.join(PROGRAMS, 'early.js')}"`);
    cluster.setupPrimary({ execArgv: [`--env-file=${file}`] });
    const worker = cluster.fork();
    worker.on('message', (message) => log(message));
    await once(worker, 'message');
    worker.send('hello');
    log(await once(worker, 'exit'));
  },
  worker({ cluster, log }) {
    log(globalThis.wasWorker, cluster.isWorker, cluster.worker.id);
    cluster.worker.on('message', (message) => {
      process.send([message, cluster.worker.isConnected()]);
      cluster.worker.disconnect();
    });
    process.send('ready');
  },
};

function forkProgram(name, settings = {}) {
  return {
    async primary({ cluster, log, watch }) {
      watch();
      cluster.setupPrimary({ exec: path.join(PROGRAMS, name), ...settings });
      const worker = cluster.fork();
      const [[message], [{ port }]] = await Promise.all([
        once(worker, 'message'),
        once(worker, 'listening'),
      ]);
      log(message, await ask({ port }), worker.send('hello'));
      if (name === 'plain.js') log((await once(worker, 'message'))[0]);
      worker.disconnect();
      await once(worker, 'exit');
    },
  };
}

scenarios['a worker whose script never loads a cluster'] = forkProgram('plain.js', { args: ['a'] });
scenarios['a worker whose script is a module'] = forkProgram('esm.mjs');

scenarios['a script that is named without its extension or relatively'] = {
  async primary({ cluster, log }) {
    process.chdir(PROGRAMS);
    for (const exec of ['./plain', 'plain.js', '../programs/plain.js']) {
      cluster.setupPrimary({ exec });
      const worker = cluster.fork();
      log(exec, (await once(worker, 'message'))[0].argv, worker.process.spawnargs.at(-1));
      worker.disconnect();
      await once(worker, 'exit');
    }
  },
};

scenarios['a child that a worker forks is an ordinary process'] = {
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  async worker({ cluster, log, start }) {
    const child = start('child', { args: ['an argument'] });
    child.on('message', (message) => log(message));
    log(await once(child, 'exit'), child.connected);
    cluster.worker.disconnect();
  },
  child({ cluster, log }) {
    log(cluster.isPrimary, cluster.isWorker, cluster.worker, typeof cluster.fork);
    log(Object.keys(process.env).sort(), process.execArgv, process.argv.slice(2));
    log(process.send('from the child'), process.connected);
    require('node:net')
      .createServer()
      .listen(0, '127.0.0.1', function () {
        log('listening', this.address().port > 0);
        this.close();
        process.disconnect();
      });
  },
};

scenarios['a worker of a worker is a primary with workers of its own'] = {
  async primary({ cluster, watch }) {
    watch();
    await once(cluster.fork(), 'exit');
  },
  async worker({ cluster, log, start }) {
    if (cluster.worker.id !== 1) return;
    const child = start('second');
    log(await once(child, 'message'), await once(child, 'exit'));
    cluster.worker.disconnect();
  },
  async second({ cluster, log }) {
    log(cluster.isPrimary);
    cluster.setupPrimary({ exec: path.join(PROGRAMS, 'plain.js') });
    const worker = cluster.fork();
    log(worker.id, (await once(worker, 'message'))[0]);
    worker.disconnect();
    await once(worker, 'exit');
    process.send('done', () => process.disconnect());
  },
};

scenarios['an environment that names a worker by its prototype alone makes none'] = {
  primary({ log, ours }) {
    const specifier = ours ? path.resolve(__dirname, '../..') : 'node:cluster';
    const args = [path.join(PROGRAMS, 'prototype.js'), specifier];
    log(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  },
};

scenarios['in a thread of a primary and in one of a worker the cluster does no harm'] = {
  async primary({ cluster, log, ours, watch }) {
    watch();
    log('in a thread', await inThread(ours));
    await once(cluster.fork(), 'exit');
  },
  async worker({ cluster, log, ours }) {
    log('in a thread', await inThread(ours));
    cluster.worker.disconnect();
  },
};

async function inThread(ours) {
  const { Worker } = require('node:worker_threads');
  const specifier = JSON.stringify(ours ? path.resolve(__dirname, '../..') : 'node:cluster');
  const code = `
    const cluster = require(${specifier});
    const { parentPort } = require('node:worker_threads');
    const { isPrimary, isWorker } = cluster;
    const server = require('node:net').createServer().listen(0, '127.0.0.1', () => {
      const isListening = server.listening;
      server.close();
      parentPort.postMessage({ isPrimary, isWorker, id: cluster.worker?.id, isListening });
    });
  `;
  const thread = new Worker(code, { eval: true });
  const [[message], exit] = await Promise.all([once(thread, 'message'), once(thread, 'exit')]);
  return { message, exit };
}

module.exports = scenarios;
