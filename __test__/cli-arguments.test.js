'use strict';

// What the command makes of its arguments: help, mistakes, and the exit codes of both.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { version } = require('../package.json');
const { OPTIONS } = require('../lib/cli/options');
const { sandbox } = require('./helpers/cli');

const COMMANDS = ['start', 'reload', 'scale', 'stop', 'status'];
const HELP = 0;
const USAGE = 2;

test('--version prints the version of the package', async (t) => {
  const { run } = sandbox(t);
  for (const flag of ['--version', '-v']) {
    const { code, stdout } = await run([flag]).exit;
    assert.equal(code, HELP);
    assert.equal(stdout, `${version}\n`);
  }
});

test('--help lists all commands, with examples and exit codes', async (t) => {
  const { run } = sandbox(t);
  const { code, stdout } = await run(['--help']).exit;
  assert.equal(code, HELP);
  for (const name of COMMANDS) assert.match(stdout, new RegExp(`^  ${name} `, 'm'));
  assert.match(stdout, /^Examples:$/m);
  assert.match(stdout, /^Exit codes:$/m);
});

for (const name of COMMANDS) {
  test(`${name} --help shows its flags, with examples`, async (t) => {
    const { run } = sandbox(t);
    const { code, stdout } = await run([name, '--help']).exit;
    assert.equal(code, HELP);
    assert.match(stdout, new RegExp(`^Usage: rust-cluster ${name} `));
    assert.match(stdout, new RegExp(`^Examples:\n(?:  \\$ rust-cluster ${name}.*\n)+`, 'm'));
    assert.equal((await run(['help', name]).exit).stdout, stdout);
  });
}

test('the help of start has every flag, and no line that is too wide', async (t) => {
  const { run } = sandbox(t);
  const { stdout } = await run(['start', '--help']).exit;
  for (const { flags } of OPTIONS) if (flags) assert.ok(stdout.includes(flags), flags);
  for (const line of stdout.split('\n')) assert.ok(line.length <= 95, line);
});

test('without a command it shows the help, as an error', async (t) => {
  const { code, stdout, stderr } = await sandbox(t).result([]);
  assert.equal(code, USAGE);
  assert.equal(stdout, '');
  assert.match(stderr, /^Usage: rust-cluster /);
});

/** What is typed, and what must be said to it. @type {[string[], RegExp][]} */
const MISTAKES = [
  [['relaod'], /unknown command 'relaod'\n\(Did you mean reload\?\)/],
  [['app.js'], /unknown command 'app\.js'\nto start it: rust-cluster start app\.js\n/],
  [['start', 'app.js', '--wokers', '2'], /unknown option '--wokers'\n\(Did you mean --workers\?\)/],
  [['start', 'app.js', '--port', '80'], /what is for app\.js itself stands behind --/],
  [['stop', '--nam', 'x'], /\(Did you mean --name\?\)\nall flags: rust-cluster stop --help/],
  [['status', 'everything'], /too many arguments for 'status'/],
  [['scale'], /missing required argument 'count'\nhow it is used: rust-cluster scale --help/],
  [['reload', 'shop'], /too many arguments.*\nto say which app: rust-cluster reload --name shop/],
  [['scale', 'many'], /'many' is invalid .*must be 'auto' or a whole number/],
  [['start', 'app.js', '-i', 'max'], /'max' is invalid.*must be 'auto' or a whole number/],
  [['start', 'app.js', '-i', '1.5'], /'1\.5' is invalid/],
  [['start', 'app.js', '--kill-timeout', '5 days'], /milliseconds .* such as '500ms'/],
  [['start', 'app.js', '--max-memory', 'lots'], /bytes .* such as '300M'/],
  [['start', 'app.js', '--env', 'NAME'], /It must be NAME=value\./],
  [['start', 'app.js', '--scheduling', 'fair'], /one of 'rr', 'none', 'least-connections'/],
  [['start', 'app.js', '--name', '../x'], /the name '\.\.\/x' is not allowed: .*letters, digits/],
  [['start', 'app.js', '--cwd', 'nowhere'], /cwd: there is no directory nowhere/],
  [['start'], /which app\? The command line names none\n/],
  [['start', 'ap.js'], /there is no file ap\.js to start\ndid you mean app\.js\?/],
  [['start', 'sub/a.js'], /there is no file sub\/a\.js to start\n$/],
];

for (const [args, expected] of MISTAKES) {
  test(`rust-cluster ${args.join(' ')} is answered with what is wrong`, async (t) => {
    const { result } = sandbox(t, { 'app.js': '' });
    const { code, stdout, stderr } = await result(args);
    assert.match(stderr, /^rust-cluster: /);
    assert.match(stderr, expected);
    assert.doesNotMatch(stderr, /^\s+at /m, 'there is a stack');
    assert.equal(stdout, '');
    assert.equal(code, USAGE);
  });
}

test('the reference names every flag, every key of the config file and every exit code', () => {
  const docs = fs.readFileSync(path.join(__dirname, '..', 'docs', 'command.md'), 'utf8');
  for (const { flags, key, flagOnly } of OPTIONS) {
    if (flags) assert.ok(docs.includes(`\`${flags}\``), flags);
    if (!flagOnly) assert.ok(docs.includes(`\`${key}\``), key);
  }
  for (const code of Object.values(require('../lib/cli/failure').EXIT)) {
    assert.match(docs, new RegExp(`^\\| ${code} \\|`, 'm'));
  }
});
