'use strict';

// The supervisor and the command as process 1, as they are in a container: no signal has a default
// action there, and whoever loses its parent becomes a child of it.

const assert = require('node:assert');
const path = require('node:path');
const { describe, test } = require('node:test');

const { sandbox } = require('./helpers/cli.js');
const { AS_INIT, initOf, withoutNamespaces } = require('./helpers/container.js');
const { request, supervised } = require('./helpers/supervised.js');

const ORPHANS = path.join(__dirname, 'fixtures/supervisor/orphans.js');

describe('as process 1', { skip: withoutNamespaces() }, () => {
  const toInit = (program, signal) => process.kill(initOf(program), signal);

  test('a supervisor drains on SIGTERM, and exits with 0', async (t) => {
    const { port, program, tell } = await supervised(t, { workers: 2 }, { command: AS_INIT });
    await program.next('running');
    assert.strictEqual((await tell('status')).pid, 1);
    const slow = request({ port, path: '/slow' });
    await program.next('slow');
    toInit(program, 'SIGTERM');
    assert.strictEqual((await slow).body, 'slow');
    assert.strictEqual((await program.exit).code, 0);
  });

  test('a second SIGTERM stops it at once, with 143', async (t) => {
    const { port, program } = await supervised(t, { workers: 1 }, { command: AS_INIT });
    await program.next('running');
    const never = request({ port, path: '/never' });
    await program.next('never');
    toInit(program, 'SIGTERM');
    await program.next('draining');
    const init = initOf(program);
    const insisting = setInterval(() => {
      try {
        process.kill(init, 'SIGTERM');
      } catch {
        // It has ended, which is heard here through its parent, a moment later.
        clearInterval(insisting);
      }
    }, 50);
    program.child.once('exit', () => clearInterval(insisting));
    await assert.rejects(never, { code: 'ECONNRESET' });
    assert.strictEqual((await program.exit).code, 143);
  });

  test('the command serves, reloads and stops with orphans of its workers around', async (t) => {
    const args = ['start', ORPHANS, '-i', '2', '--json'];
    const app = sandbox(t).run(args, { command: AS_INIT });
    assert.strictEqual((await app.next('app')).pid, 1);
    const { port } = await app.next('listening');
    await app.next('running');
    const ask = async (route) => JSON.parse((await request({ port, path: route })).body);

    const ends = await ask('/abandon');
    const stays = await ask('/abandon');
    for (const pid of [ends, stays]) assert.strictEqual(await ask(`/parent?pid=${pid}`), 1);
    // Its end is heard by process 1, which knows nothing of it.
    await ask(`/end?pid=${ends}`);
    const { pid: crashes } = await app.next('ready');
    await ask(`/end?pid=${crashes}`).catch(() => {});
    const exit = await app.next('exit');
    assert.deepStrictEqual([exit.pid, exit.signal], [crashes, 'SIGKILL']);
    toInit(app, 'SIGHUP');
    await app.next('reloaded');

    const slow = ask('/slow');
    await app.next('output');
    toInit(app, 'SIGTERM');
    await slow;
    // With it the one that stays has ended: nobody outlives process 1.
    assert.strictEqual((await app.exit).code, 0);
  });
});
