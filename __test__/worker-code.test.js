'use strict';

// The code that a worker runs of ours, and that its primary gives it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const vm = require('node:vm');

const { start } = require('./helpers/program');
const { temporary } = require('./helpers/temporary');
const { prepare } = require('../lib/worker-code');

const ROOT = path.join(__dirname, '..');

describe("a worker's code", () => {
  test('comes with a cache that V8 takes', () => {
    const { source, cache } = prepare();
    const script = new vm.Script(source, { cachedData: cache });
    assert.equal(script.cachedDataRejected, false);
  });

  test('is given by the primary, as it was when the primary started', async (t) => {
    const root = temporary(t);
    const binaries = fs.readdirSync(ROOT).filter((name) => name.endsWith('.node'));
    for (const name of ['package.json', 'index.js', 'native.js', 'lib', 'dist', ...binaries]) {
      fs.cpSync(path.join(ROOT, name), path.join(root, name), { recursive: true });
    }
    const program = start(t, path.join(__dirname, 'fixtures/worker-code/primary.js'), {
      args: [root],
    });
    for (const [id, execArgv] of [
      [1, []],
      [2, []],
      [3, ['--stack-size=2000']],
    ]) {
      const { id: forked, message } = await program.next('worker');
      assert.deepEqual([forked, message], [id, execArgv]);
    }
    assert.equal((await program.exit).code, 0);
  });
});
