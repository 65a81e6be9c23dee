'use strict';

// Where the native core cannot be loaded, and all is the builtin's.

const assert = require('node:assert');
const { test } = require('node:test');

const { sandbox } = require('./helpers/cli.js');
const { start } = require('./helpers/program.js');
const { load, request, supervised } = require('./helpers/supervised.js');

/** What keeps the core from being loaded. */
const env = { NAPI_RS_NATIVE_LIBRARY_PATH: '/nowhere/rust-cluster.node' };
const FALLS_BACK = /Warning: falling back to node:cluster/;

test('a supervisor respawns, reloads without losing a request, scales and drains', async (t) => {
  const { port, program, tell, until } = await supervised(
    t,
    { workers: 2, backoffMin: 10 },
    { env, stderr: FALLS_BACK },
  );
  assert.strictEqual((await program.next('running')).workers, 2);

  const { result, stop } = load(port, { keepAlive: 2, oneShot: 2 });
  await tell('reload');
  await stop();
  assert.deepStrictEqual(result.failures, []);

  await request({ port, path: '/exit?code=3' }).catch(() => {});
  const { slot } = await program.next('backoff');
  const { pid } = (await until('start', ({ reason }) => reason === 'crash')).at(-1);
  assert.deepStrictEqual((await until('ready', (ready) => ready.pid === pid)).at(-1).slot, slot);
  assert.strictEqual((await tell('scale?to=3')).ready, 3);

  const slow = request({ port, path: '/slow' });
  await program.next('slow');
  program.kill('SIGTERM');
  assert.strictEqual((await slow).body, 'slow');
  assert.strictEqual((await program.exit).code, 0);
});

test('what it cannot do it says', async (t) => {
  const { program, tell } = await supervised(
    t,
    { workers: 1, hangTimeout: 50, systemd: true },
    {
      env: { ...env, NOTIFY_SOCKET: '/nowhere/notify' },
      stderr: /systemd cannot be notified[^]*'hangTimeout' has no effect/,
    },
  );
  await program.next('running');
  await new Promise((resolve) => {
    program.child.stderr.on('data', () => program.stderr.includes('hangTimeout') && resolve());
  });
  await tell('stop');
  assert.strictEqual((await program.exit).code, 0);
});

test('a program finds it where it always is', async (t) => {
  const text = `
    const cluster = require(${JSON.stringify(require.resolve('..'))});
    if (cluster.isPrimary) {
      const supervisor = cluster.supervise({ workers: 1, readyOn: 'online', systemd: false });
      supervisor.running.then(() => supervisor.stop());
    }`;
  const { directory } = sandbox(t, { 'app.js': text });
  const program = start(t, `${directory}/app.js`, { env, stderr: FALLS_BACK });
  assert.strictEqual((await program.exit).code, 0);
});

test('the command says that it does not run', async (t) => {
  const box = sandbox(t, { 'app.js': '' });
  const { code, stderr } = await box.result(['start', 'app.js'], { env });
  assert.strictEqual(code, 1);
  assert.match(stderr, FALLS_BACK);
  assert.match(stderr, /^rust-cluster: the native core could not be loaded, and the command does/m);
});
