'use strict';

/**
 * Load for a server. At saturation it comes from `wrk` or `ab` where they are installed, because a
 * generator in JavaScript takes as much of the machine as the servers; else from our own.
 */

const { execFile, spawnSync } = require('node:child_process');
const { promisify } = require('node:util');

const { Program } = require('./program');

const run = promisify(execFile);

/** @typedef {{ requests: number, errors: number, seconds: number }} Load */

const tool = ['wrk', 'ab'].find((name) => spawnSync(name, ['-v']).error === undefined);

const OWN = 'bench/lib/load.js';

/** What makes the load at saturation. */
const generator = tool ?? OWN;

/** The same on connections that stay open: to HTTP/1.0, which `ab` speaks, Node closes them. */
const keepAliveGenerator = tool === 'wrk' ? tool : OWN;

/**
 * As many requests as it takes.
 * @param {number} port
 * @param {number} clients
 * @param {number} seconds
 * @param {boolean} keepAlive or a connection for each request
 * @returns {Promise<Load>}
 */
async function saturate(port, clients, seconds, keepAlive) {
  if (tool === 'wrk') return checked(await wrk(port, clients, seconds, keepAlive));
  if (tool === 'ab' && !keepAlive) return checked(await ab(port, clients, seconds));
  return load({ mode: keepAlive ? 'keep-alive' : 'close', port, clients, seconds });
}

/** One run of our own generator. @param {object} settings see load.js @returns {Promise<any>} */
async function load(settings) {
  const program = startLoad(settings);
  try {
    return checked(await program.answer());
  } finally {
    await program.stop();
  }
}

/**
 * Failed requests make a rate meaningless, so nobody shall overlook them.
 * @template {{ errors: number }} T
 * @param {T} result
 */
function checked(result) {
  if (result.errors > 0) console.log(`${result.errors} requests have failed in this sample.`);
  return result;
}

/** One that goes on until it is stopped. @param {object} settings */
function startLoad(settings) {
  return new Program(process.execPath, 'load.js', settings);
}

/** @returns {Promise<Load>} */
async function wrk(
  /** @type {number} */ port,
  /** @type {number} */ clients,
  /** @type {number} */ seconds,
  /** @type {boolean} */ keepAlive,
) {
  const args = ['-t1', `-c${clients}`, `-d${Math.ceil(seconds)}s`];
  if (!keepAlive) args.push('-H', 'Connection: close');
  const { stdout } = await run('wrk', [...args, `http://127.0.0.1:${port}/`]);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(
    stdout,
  );
  return {
    requests: find(stdout, /(\d+) requests in/),
    seconds: find(stdout, /([\d.]+)s,/),
    errors: (errors ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0),
  };
}

/** `ab` makes room for all requests that there might be, so it is told how many. */
const AB_REQUESTS = 500_000;

/** @returns {Promise<Load>} */
async function ab(
  /** @type {number} */ port,
  /** @type {number} */ clients,
  /** @type {number} */ seconds,
) {
  const args = ['-q', '-r', '-c', `${clients}`, '-t', `${Math.ceil(seconds)}`];
  args.push('-n', `${AB_REQUESTS}`, `http://127.0.0.1:${port}/`);
  const { stdout } = await run('ab', args);
  return {
    requests: find(stdout, /Complete requests:\s+(\d+)/),
    seconds: find(stdout, /Time taken for tests:\s+([\d.]+)/),
    errors: find(stdout, /Failed requests:\s+(\d+)/),
  };
}

/** @param {string} text @param {RegExp} pattern */
function find(text, pattern) {
  const found = pattern.exec(text);
  if (!found) throw new Error(`${tool} has printed something unexpected:\n${text}`);
  return Number(found[1]);
}

module.exports = { generator, keepAliveGenerator, load, saturate, startLoad };
