'use strict';

// The code that a worker runs of ours, and that its primary gives it.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { describe, test } = require('node:test');
const vm = require('node:vm');

const { start } = require('./helpers/program');
const { temporary } = require('./helpers/temporary');
const { rehearse } = require('../lib/rehearsal');
const { resolutions } = require('../lib/resolutions');
const { prepare } = require('../lib/worker-code');

const ROOT = path.join(__dirname, '..');
const FILES = ['package.json', 'index.js', 'register.js', 'native.js', 'lib', 'dist'];
const requireInLib = createRequire(path.join(ROOT, 'lib/child.js'));

describe("a worker's code", () => {
  test('comes with a cache that V8 takes, of more than what runs when it is evaluated', () => {
    const { source, cache } = prepare();
    const script = new vm.Script(source, { cachedData: cache });
    assert.equal(script.cachedDataRejected, false);
    // V8 would give the same text the same functions.
    const evaluated = new vm.Script(`${source} // once more`);
    evaluated.runInThisContext()({}, requireInLib, {}, process);
    assert.ok(cache.length > 1.3 * evaluated.createCachedData().length);
    // All of it; a fault would be swallowed there.
    rehearse(evaluated.runInThisContext());
  });

  test('is given by the primary, as it was when the primary started', async (t) => {
    const folder = temporary(t);
    fs.cpSync(path.join(__dirname, 'fixtures/worker-code'), folder, { recursive: true });
    const root = path.join(folder, 'node_modules/rust-cluster');
    const binaries = fs.readdirSync(ROOT).filter((name) => name.endsWith('.node'));
    for (const name of [...FILES, ...binaries]) {
      fs.cpSync(path.join(ROOT, name), path.join(root, name), { recursive: true });
    }
    const program = start(t, path.join(folder, 'primary.js'));
    const file = path.join(root, 'index.js');
    for (const [id, execArgv, known] of [
      [1, [], [true, true]],
      [2, [], [true, true]],
      [3, ['--stack-size=2000'], [true, true]],
    ]) {
      const { id: forked, message } = await program.next('worker');
      assert.equal(forked, id);
      assert.deepEqual(message, { execArgv, known, file, same: true });
    }
    assert.equal((await program.exit).code, 0);
  });
});

describe('where a worker finds the package', () => {
  function place(t) {
    const folder = fs.realpathSync(temporary(t));
    const link = path.join(folder, 'node_modules/rust-cluster');
    fs.mkdirSync(path.dirname(link));
    fs.symlinkSync(ROOT, link);
    return { folder, link, exec: path.join(folder, 'program.js') };
  }

  test('is known for its program and for its folder, if it is this one', (t) => {
    const { folder, link, exec } = place(t);
    fs.writeFileSync(exec, '');
    const { files, searched } = resolutions(exec, folder, [], {});
    const { resolve } = createRequire(exec);
    assert.deepEqual(searched, [resolve.paths('rust-cluster')]);
    for (const [name, file] of Object.entries(files)) assert.equal(resolve(name), file);

    fs.rmSync(link);
    assert.equal(resolutions(exec, folder, [], {}), undefined, 'it is gone');
    fs.mkdirSync(link);
    assert.equal(resolutions(exec, folder, [], {}), undefined, 'it is another one');
  });

  test('is not said where Node would look in another way', (t) => {
    const { folder, exec } = place(t);
    assert.notEqual(resolutions(exec, folder, ['--no-warnings'], {}), undefined);
    for (const option of ['--preserve-symlinks', '--conditions=types', '-C']) {
      assert.equal(resolutions(exec, folder, [option], {}), undefined);
      assert.equal(resolutions(exec, folder, [], { NODE_OPTIONS: `${option} types` }), undefined);
    }
    assert.equal(resolutions(exec, folder, [], { NODE_PRESERVE_SYMLINKS: '1' }), undefined);
  });

  test('never stands in the way of a fork()', (t) => {
    const { exec } = place(t);
    for (const cwd of ['relative', 'not/there', null, 5, {}, new URL('file:///tmp')]) {
      resolutions(exec, cwd, [], {});
    }
    resolutions('not/there', undefined, [], {});
  });
});
