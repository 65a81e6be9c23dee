'use strict';

// `rust-cluster start` in a terminal: colours, and Ctrl-C, which the terminal sends to all processes
// of the app at once.

const assert = require('node:assert/strict');
const path = require('node:path');
const { describe, test } = require('node:test');

const { sandbox } = require('./helpers/cli');
const { request } = require('./helpers/supervised');

const APP = path.join(__dirname, 'fixtures/supervisor/orphans.js');
const CTRL_C = '\x03';

describe('in a terminal', { skip: sandbox.withoutTerminals() }, () => {
  const press = (terminal, key) => terminal.child.stdin.write(key);

  /** Starts the app, without colours, and waits until it serves. */
  async function up(t) {
    const box = sandbox(t);
    const app = box.inTerminal(['start', APP, '-i', '2'], { env: { NO_COLOR: '1' } });
    const [, pid] = await app.line(/^rust-cluster \| .* \(pid (\d+)\)$/);
    const [, port] = await app.line(/listening on port (\d+)$/);
    await app.line(/running: 2 workers/);
    await app.line(/Ctrl-C stops it/);
    return { ...box, app, pid: Number(pid), port: Number(port) };
  }

  function assertNobodyLeft(pid) {
    assert.throws(() => process.kill(-pid, 0), { code: 'ESRCH' });
  }

  test('Ctrl-C lets requests end, and leaves nobody behind', async (t) => {
    const { app, pid, port } = await up(t);
    const slow = request({ port, path: '/slow' });
    await app.line(/asked$/);
    press(app, CTRL_C);
    assert.equal((await slow).body, '"slow"');
    const { code, stdout } = await app.exit;
    assert.equal(code, 0);
    assert.match(stdout, /SIGINT: stopping; once more to stop at once\r\n/);
    assert.equal(stdout.match(/lets its requests end: the app stops\r\n/g).length, 2);
    assert.match(stdout, /rust-cluster \| stopped\r\n$/);
    assertNobodyLeft(pid);
  });

  test('a second Ctrl-C stops at once', async (t) => {
    const { app, pid, port } = await up(t);
    const never = request({ port, path: '/never' });
    await app.line(/asked$/);
    press(app, CTRL_C);
    await app.line(/lets its requests end/);
    const pressing = setInterval(() => press(app, CTRL_C), 50);
    await assert.rejects(never, { code: 'ECONNRESET' });
    clearInterval(pressing);
    assert.equal((await app.exit).code, 130);
    assertNobodyLeft(pid);
  });

  test('Ctrl-C while the workers start is no crash', async (t) => {
    const box = sandbox(t, { 'app.js': "console.log('loaded'); setInterval(() => {}, 60_000);" });
    const app = box.inTerminal(['start', 'app.js', '-i', '2'], { env: { NO_COLOR: '1' } });
    const [, pid] = await app.line(/^rust-cluster \| .* \(pid (\d+)\)$/);
    press(app, CTRL_C);
    const { code, stdout } = await app.exit;
    assert.equal(code, 0);
    assert.doesNotMatch(stdout, /unexpectedly/);
    assertNobodyLeft(Number(pid));
  });

  test('it serves on when its terminal goes away, until it is told to stop', async (t) => {
    const { app, pid, port, result } = await up(t);
    app.kill('SIGKILL');
    await app.exit;
    assert.equal((await request({ port, path: `/parent?pid=${pid}` })).status, 200);
    assert.equal((await result(['stop'])).code, 0);
    assert.equal((await result(['status'])).code, 3);
  });

  for (const [env, expected] of [
    [{}, true],
    [{ NO_COLOR: '1' }, false],
    [{ FORCE_COLOR: '0' }, false],
    [{ TERM: 'dumb' }, false],
  ]) {
    test(`with ${JSON.stringify(env)} there is ${expected ? '' : 'no '}colour`, async (t) => {
      const app = sandbox(t).inTerminal(['start', APP, '-i', '1'], { env });
      await app.line(/Ctrl-C stops it/);
      press(app, CTRL_C);
      const { code, stdout } = await app.exit;
      assert.equal(code, 0);
      assert.equal(stdout.includes('\x1b['), expected);
    });
  }
});
