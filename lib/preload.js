'use strict';

/**
 * `--require`d into every worker by the primary: connects before user code runs, and leaves no
 * trace of itself for that code or for the processes that it starts.
 */

const { ADDON_VARIABLE, CHANNEL_VARIABLE, optionsPrefix } = require('./environment');

const index = process.execArgv.indexOf(__filename);
if (index > 0) process.execArgv.splice(index - 1, 2);

const prefix = optionsPrefix(__filename);
const options = process.env.NODE_OPTIONS;
if (options?.startsWith(prefix)) process.env.NODE_OPTIONS = options.slice(prefix.length);

// A thread of a worker runs this, too: it does not find the variable any more.
if (process.env[CHANNEL_VARIABLE] !== undefined) {
  const fd = Number(process.env[CHANNEL_VARIABLE]);
  delete process.env[CHANNEL_VARIABLE];
  const { addon } = require('./addon');
  delete process.env[ADDON_VARIABLE];
  const greeting = new addon.Greeting(fd);
  require('./worker-code').load(greeting.takeCode()).connect(greeting);
}

delete require.cache[__filename];
