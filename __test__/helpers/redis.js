'use strict';

// A Redis of the test's own: on a Unix socket in a directory of its own, and nothing on the disk.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');

module.exports = { startRedis, whyNoRedis };

/** Why a test with Redis cannot run here; false if it can. */
function whyNoRedis() {
  const { error } = spawnSync('redis-server', ['--version']);
  return error ? `redis-server is not installed (${error.message})` : false;
}

/** Starts one, which ends with the test. @param {import('node:test').TestContext} t */
async function startRedis(t) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rc-redis-'));
  const socket = path.join(directory, 'socket');
  const options = { port: 0, unixsocket: socket, dir: directory, save: '', appendonly: 'no' };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  let server;

  const redis = {
    url: `unix://${socket}`,
    async start() {
      server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const lines = readline.createInterface(server.stdout);
      const ready = new Promise((resolve) => {
        lines.on('line', (line) => /ready to accept connections/i.test(line) && resolve());
      });
      const ended = once(server, 'exit').then(([code]) => {
        throw new Error(`redis-server has ended with ${code}`);
      });
      await Promise.race([ready, ended]);
    },
    /** Kills it; what it had in memory is lost. */
    async stop() {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const exit = once(server, 'exit');
      server.kill('SIGKILL');
      await exit;
    },
  };
  t.after(async () => {
    await redis.stop();
    fs.rmSync(directory, { recursive: true });
  });
  await redis.start();
  return redis;
}
