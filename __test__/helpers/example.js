'use strict';

// Runs an example and asks it, for its tests.

const assert = require('node:assert/strict');
const os = require('node:os');
const path = require('node:path');

const { start } = require('./program');

const WORKERS = os.availableParallelism();

module.exports = { WORKERS, ask, endsCleanly, listening, run, workerIn };

function run(t, name, { env, stderr } = {}) {
  const file = path.join(__dirname, '..', '..', 'examples', name);
  return start(t, file, { env: { PORT: '0', ...env }, stderr });
}

/** Waits until all workers of an example listen. */
async function listening(example) {
  const workers = [];
  let url;
  while (workers.length < WORKERS) {
    const [, id, pid, where] = await example.line(/^worker (\d+) \(pid (\d+)\) on (http:\S+)$/);
    assert.equal(where, url ?? where);
    url = where;
    workers.push({ id, pid: Number(pid) });
  }
  return { url, workers };
}

/** Asks for a page on a new connection. */
async function ask(url) {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return response.text();
}

function workerIn(answer) {
  return /worker (\d+)/.exec(answer)[1];
}

async function endsCleanly(example) {
  const { code, signal, stdout } = await example.exit;
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  return { stdout };
}
