'use strict';

/**
 * `--require`d into every worker by the primary: connects before user code runs, and leaves no
 * trace of itself for that code or for the processes that it starts.
 *
 * All of it is in this file, and almost none of it in functions, because to find the one and to
 * compile the other would cost a worker more time than what is done here. The names of variables are
 * those of `environment.js`.
 */

const { env, execArgv } = process;

const index = execArgv.indexOf(__filename);
if (index > 0) execArgv.splice(index - 1, 2);

const prefix = `--require ${JSON.stringify(__filename)} `;
const options = env.NODE_OPTIONS;
if (options?.startsWith(prefix)) env.NODE_OPTIONS = options.slice(prefix.length);

const channelFd = env.RUST_CLUSTER_CHANNEL_FD;
// A thread of a worker runs this, too: it does not find the variable any more.
if (channelFd !== undefined) {
  delete env.RUST_CLUSTER_CHANNEL_FD;
  // What `net` asks for servers, and libraries whether this is a worker.
  const id = (env.NODE_UNIQUE_ID = env.RUST_CLUSTER_WORKER_ID);
  require('cluster');
  delete env.NODE_UNIQUE_ID;
  delete env.RUST_CLUSTER_WORKER_ID;
  const loaded = { exports: /** @type {any} */ ({}) };
  const file = env.RUST_CLUSTER_ADDON;
  if (file === undefined) loaded.exports = require('../native');
  else process.dlopen(loaded, file);
  delete env.RUST_CLUSTER_ADDON;
  /** @type {typeof import('../native')} */
  const addon = loaded.exports;
  const greeting = new addon.Greeting(Number(channelFd));

  // What the primary has prepared, or what is installed.
  const filename = `${__dirname.slice(0, -'lib'.length)}dist/worker.js`;
  const source = greeting.source ?? require('fs').readFileSync(filename, 'utf8');
  // A cache does not fit where the worker has other options for V8. It is left aside then.
  const { Script } = require('vm');
  const script = new Script(source, { filename, cachedData: greeting.cache ?? undefined });
  const own = { exports: /** @type {any} */ ({}) };
  /** @type {Record<string, any>} There is one addon in a process. */
  const known = { './addon': { addon }, module: module.constructor };
  const find = (/** @type {string} */ id) => known[id] ?? require(id);
  script.runInThisContext()(own.exports, find, own, process);
  own.exports.connect(greeting, Number(id));
}

delete require.cache[__filename];
