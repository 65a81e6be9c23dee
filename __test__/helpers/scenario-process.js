'use strict';

// What runs in every process of a scenario: the primary that compare.js starts, and the workers
// that it forks (this file is their script as well, by the default of `settings.exec`). It loads
// the cluster under test, and calls the function of the scenario that belongs to this process.
//
// Everything it needs to know is in one environment variable, so that arguments, descriptors and
// the channel are the scenario's own. What it logs goes to a file, line by line and at once: a log
// that took the channel would end with it.

const fs = require('node:fs');
const path = require('node:path');
const { fork } = require('node:child_process');
const { describe } = require('./scenario-describe');

const config = JSON.parse(process.env.COMPARE);
const cluster = config.ours ? require('../..') : require('node:cluster');

const role = cluster.isWorker && config.role !== 'child' ? 'worker' : config.role;
const source = cluster.isWorker ? sourceOfWorker(cluster.worker.id) : config.role;

function sourceOfWorker(id) {
  return config.role === 'primary' ? `worker ${id}` : `${config.role} worker ${id}`;
}

/** Logs values as the next entry of this process. */
function log(...values) {
  logIn('', ...values);
}

/** Logs into a lane of its own, for what comes in no fixed order with the rest of the process. */
function logIn(lane, ...values) {
  const entry = {
    source: lane === '' ? source : `${source}, ${lane}`,
    values: values.map((value) => describe(value, cluster)),
  };
  fs.appendFileSync(path.join(config.tmp, 'log'), `${JSON.stringify(entry)}\n`);
}

/** Logs what an attempt throws, or what it returns. */
function attempt(label, action) {
  try {
    log(label, 'returns', action());
  } catch (error) {
    log(label, 'throws', error);
  }
}

/**
 * Logs every event of the workers and of the cluster about them. Of one worker, 'disconnect' and
 * 'exit' each have a lane: which of the two is seen first is up to the system.
 */
function watch() {
  cluster.on('fork', (...args) => {
    const [worker] = args;
    logIn(`about worker ${worker.id}`, 'cluster fork', args, worker.state);
    for (const event of ['online', 'listening', 'message', 'error', 'disconnect', 'exit']) {
      worker.on(event, function (...rest) {
        logEvent(worker, event, event, this === worker, rest);
      });
    }
  });
  for (const event of ['online', 'listening', 'message', 'disconnect', 'exit']) {
    cluster.on(event, function (worker, ...rest) {
      logEvent(worker, event, `cluster ${event}`, this === cluster, [worker, ...rest]);
    });
  }
}

function logEvent(worker, event, label, hasRightThis, args) {
  const isEnd = event === 'disconnect' || event === 'exit';
  const facts = { args, hasRightThis, state: worker.state };
  if (isEnd) facts.exitedAfterDisconnect = worker.exitedAfterDisconnect;
  if (event === 'disconnect') facts.isConnected = worker.isConnected();
  if (event === 'exit') {
    const { exitCode, signalCode } = worker.process;
    Object.assign(facts, { isDead: worker.isDead(), exitCode, signalCode });
  }
  logIn(`about worker ${worker.id}${isEnd ? `, ${event}` : ''}`, label, facts);
}

/** Starts this file again, outside of any cluster, as the scenario's function of another name. */
function start(otherRole, options = {}) {
  const env = { ...process.env, ...options.env, COMPARE: configFor(otherRole) };
  return fork(__filename, options.args ?? [], { execArgv: [], ...options, env });
}

/** The value of the environment variable that makes this file play another role. */
function configFor(otherRole) {
  return JSON.stringify({ ...config, role: otherRole });
}

function main() {
  process.on('exit', (code) => log('process ends', code));
  const scenario = require(config.file)[config.name];
  const { tmp, ours } = config;
  const tools = { cluster, tmp, ours, log, logIn, attempt, watch, start, configFor };
  return scenario[role](tools);
}

main();
