'use strict';

// The config file: where it may be, what may stand in it, and what is said if it is wrong.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { loadConfig } = require('../lib/cli/config');
const { KINDS } = require('../lib/cli/kinds');
const { OPTIONS } = require('../lib/cli/options');
const { makeSchema } = require('../lib/cli/schema');
const { resolveOptions } = require('../lib/supervisor/options');
const { sandbox } = require('./helpers/cli');

const USAGE = 2;

test('schema.json is what the table of options makes', () => {
  const file = path.join(__dirname, '..', 'schema.json');
  const hint = 'run: node lib/cli/schema.js > schema.json && npx prettier --write schema.json';
  assert.deepEqual(JSON.parse(fs.readFileSync(file, 'utf8')), JSON.parse(makeSchema()), hint);
});

test('the defaults in help and schema are those of the supervisor, and none of its is forgotten', () => {
  const { waitReady, ...said } = Object.fromEntries(
    OPTIONS.filter(({ goesTo }) => goesTo === 'supervisor').map((each) => [
      each.key,
      each.byDefault,
    ]),
  );
  assert.equal(waitReady, false);
  // The command has these in hand itself.
  const { captureStderr, log, random, signals, ...real } = resolveOptions();
  assert.ok(captureStderr && log && random && signals);
  assert.deepEqual(said, real);
});

const FORMATS = {
  'rust-cluster.config.json': '{ "$schema": "x", "workers": 3, "killTimeout": "5s" }',
  'rust-cluster.config.js': "module.exports = { workers: 3, killTimeout: '5s', time: undefined };",
  'rust-cluster.config.cjs': "module.exports = { workers: 3, killTimeout: '5s' };",
  'rust-cluster.config.mjs': "export default { workers: 3, killTimeout: '5s' };",
};

for (const [name, text] of Object.entries(FORMATS)) {
  test(`${name} is found and read`, async (t) => {
    const { directory } = sandbox(t, { [name]: text });
    const file = path.join(directory, name);
    assert.deepEqual(await loadConfig(undefined, directory), {
      file,
      values: { workers: 3, killTimeout: 5000 },
    });
  });
}

test('--config names another file, and paths in it are meant from where it is', async (t) => {
  const files = { 'deploy/shop.json': '{ "script": "../app.js", "cwd": "." }' };
  const { directory } = sandbox(t, files);
  const { values } = await loadConfig('deploy/shop.json', directory);
  assert.deepEqual(values, {
    script: path.join(directory, 'app.js'),
    cwd: path.join(directory, 'deploy'),
  });
});

test('without a config file there are no values', async (t) => {
  const { directory } = sandbox(t);
  assert.deepEqual(await loadConfig(undefined, directory), { values: {} });
});

/** @type {[string, Record<string, string>, RegExp][]} */
const MISTAKES = [
  [
    'a key that does not exist',
    { 'rust-cluster.config.json': '{ "wokers": 2 }' },
    /rust-cluster\.config\.json is not right:\n {2}'wokers': there is no such key; did you mean 'workers'\?/,
  ],
  [
    'a key that is like no other',
    { 'rust-cluster.config.json': '{ "xyzzyplugh": 2 }' },
    /'xyzzyplugh': there is no such key; there are args, backoffMax, .*, workers\n/,
  ],
  [
    'several values at once',
    { 'rust-cluster.config.json': '{ "workers": 1.5, "hangTimeout": "soon", "hangStack": 1 }' },
    /'workers': must be 'auto' .*; it is 1\.5\n {2}'hangTimeout': must be milliseconds .*; it is 'soon'\n {2}'hangStack': must be true or false; it is 1\n/,
  ],
  [
    'a number as text',
    { 'rust-cluster.config.json': '{ "workers": "2" }' },
    /'workers': must be .*; it is '2'/,
  ],
  [
    'null',
    { 'rust-cluster.config.json': '{ "name": null }' },
    /'name': must be a text that is not empty; it is null/,
  ],
  [
    'a flag that has no place there',
    { 'rust-cluster.config.json': '{ "config": "x.json" }' },
    /'config': there is no such key/,
  ],
  [
    'something that is no JSON',
    { 'rust-cluster.config.json': '{ workers: 2 }' },
    /rust-cluster\.config\.json is not JSON: /,
  ],
  [
    'a list',
    { 'rust-cluster.config.json': '[]' },
    /rust-cluster\.config\.json must hold an object; it holds \[\]/,
  ],
  [
    'a function',
    { 'rust-cluster.config.js': 'module.exports = () => ({});' },
    /rust-cluster\.config\.js must hold an object; it holds a function/,
  ],
  [
    'no default export',
    { 'rust-cluster.config.mjs': 'export const workers = 2;' },
    /rust-cluster\.config\.mjs has no default export\nend it with "export default/,
  ],
  [
    'a module that throws',
    { 'rust-cluster.config.js': 'throw new Error("not today");' },
    /could not be loaded: Error: not today\n {4}at .*rust-cluster\.config\.js:1/,
  ],
  [
    'two files',
    { 'rust-cluster.config.js': '', 'rust-cluster.config.json': '{}' },
    /there are several config files: rust-cluster\.config\.json, rust-cluster\.config\.js\nkeep one/,
  ],
  [
    'no script',
    { 'rust-cluster.config.json': '{}' },
    /which app\? The command line names none, and rust-cluster\.config\.json has no 'script'/,
  ],
];

for (const [what, files, expected] of MISTAKES) {
  test(`${what} in a config file is a mistake that is explained`, async (t) => {
    const { code, stdout, stderr } = await sandbox(t, files).result(['start']);
    assert.match(stderr, expected);
    assert.equal(stdout, '');
    assert.equal(code, USAGE);
  });
}

test('a config file that is asked for must be there', async (t) => {
  const { code, stderr } = await sandbox(t).result(['start', '--config', 'my.json']);
  assert.equal(stderr, 'rust-cluster: there is no config file my.json\n');
  assert.equal(code, USAGE);
});

test('values with units are turned into milliseconds and bytes', () => {
  const { duration, size, crashes } = KINDS;
  const times = { '250ms': 250, '1.5s': 1500, '2m': 120_000, '1h': 3_600_000, '1d': 86_400_000 };
  for (const [text, value] of Object.entries(times)) assert.equal(duration.read(text), value);
  const sizes = { '512B': 512, '1K': 1024, '300M': 314_572_800, '1.5G': 1_610_612_736 };
  for (const [text, value] of Object.entries({ ...sizes, '300MB': 314_572_800, '1mib': 1 << 20 })) {
    assert.equal(size.read(text), value, text);
  }
  for (const wrong of [-1, 1.5, '1', '-1s', '1 s', '1w', '', null, NaN, {}]) {
    assert.equal(duration.read(wrong), undefined, String(wrong));
  }
  assert.equal(crashes.read('never'), Infinity);
});
