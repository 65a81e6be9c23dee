'use strict';

// `rust-cluster start`: apps that know nothing of it, and what is to be seen of them.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { wantsColour } = require('../lib/cli/colour');
const { sandbox } = require('./helpers/cli');

const { fixture } = sandbox;

/** Asks a server, on a connection of its own. */
async function ask(port, url = '/') {
  const response = await fetch(`http://127.0.0.1:${port}${url}`, {
    headers: { connection: 'close' },
  });
  return response.text();
}

/** What a server answers that says in JSON who it is. */
async function who(port) {
  return JSON.parse(await ask(port));
}

/** Stops an app as Ctrl-C does, and sees that it ends well. */
async function interrupt(app) {
  app.ctrlC();
  const { code, signal } = await app.exit;
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
}

for (const name of ['server.js', 'server.mjs']) {
  test(`${name}, which knows nothing of clusters, is served by all workers`, async (t) => {
    const app = sandbox(t).run(['start', fixture(name), '-i', '2', '--json', '--', 'a', '-b']);
    const { port } = await app.next('listening');
    await app.next('running');
    const answers = [await who(port), await who(port), await who(port), await who(port)];
    assert.equal(new Set(answers.map(({ pid }) => pid)).size, 2);
    for (const { args } of answers) assert.deepEqual(args, ['a', '-b']);
    await interrupt(app);
  });
}

test('a program that forks workers itself is a worker here', async (t) => {
  const app = sandbox(t).run(['start', fixture('aware.js'), '-i', '2', '--json']);
  const { port } = await app.next('listening');
  await app.next('running');
  const answers = new Set();
  // Strictly in turn, but for a worker that has to wait for a CPU for longer than the handoff timeout.
  for (let n = 0; n < 20 && answers.size < 2; n++) answers.add(await ask(port));
  assert.deepEqual(answers, new Set(['1', '2']));
  await interrupt(app);
});

test('flags and config file say how a worker runs, the flags first', async (t) => {
  const config = {
    script: fixture('server.js'),
    args: ['from', 'the file'],
    name: 'shop',
    workers: 2,
    env: { GREETING: 'from the file', DEBUG_LEVEL: 3 },
    nodeArgs: ['--stack-trace-limit=33'],
    cwd: '.',
  };
  const box = sandbox(t, { 'rust-cluster.config.json': JSON.stringify(config) });
  const app = box.run(['start', '-i', '1', '-e', 'GREETING=hello', '--json']);
  assert.equal((await app.next('app')).name, 'shop');
  const { port } = await app.next('listening');
  assert.equal((await app.next('running')).workers, 1);
  const { slot, greeting, args, execArgv, cwd } = await who(port);
  assert.deepEqual(
    { slot, greeting, args, execArgv, cwd },
    {
      slot: '0',
      greeting: 'hello',
      args: ['from', 'the file'],
      execArgv: ['--stack-trace-limit=33'],
      cwd: box.directory,
    },
  );
  await interrupt(app);
});

test('for a person: who says what stands in front of each line', async (t) => {
  const app = sandbox(t).run(['start', fixture('server.js'), '-i', '1', '--name', 'shop'], {
    stderr:
      /^0:\d+ +\| the last words\nrust-cluster \| worker 0 \(pid \d+\) ended unexpectedly after .*: exit code 7\nrust-cluster \| worker 0 starts again in \d+ ms\n(?:rust-cluster \| .* gets SIGTERM: the app stops\n)*$/,
  });
  const script = fixture('server.js');
  const [line] = await app.line(/.*/);
  assert.equal(line, `rust-cluster | shop: ${script} (pid ${app.pid})`);
  const [, pid, port] = await app.line(/^0:(\d+) +\| at (\d+)$/);
  await app.line(new RegExp(`^rust-cluster \\| listening on 127\\.0\\.0\\.1:${port}$`));
  await app.line(
    new RegExp(`^rust-cluster \\| worker 0 \\(pid ${pid}\\) is ready after [\\d.]+ m?s$`),
  );
  await app.line(/^rust-cluster \| running: 1 worker ready after /);

  await assert.rejects(ask(port, '/crash'));
  const [, second] = await app.line(/^0:(\d+) +\| at \d+$/);
  assert.notEqual(second, pid);
  await app.line(new RegExp(`^rust-cluster \\| worker 0 \\(pid ${second}\\) is ready after`));
  app.ctrlC();
  await app.line(/^rust-cluster \| SIGINT: stopping; once more to stop at once$/);
  await app.line(/^rust-cluster \| stopped$/);
  const { code, stdout } = await app.exit;
  assert.equal(code, 0);
  for (const each of stdout.trimEnd().split('\n'))
    assert.match(each, /^(?:rust-cluster|0:\d+ *) \| /);
});

test('for a program: one JSON object on each line, and nothing else', async (t) => {
  const app = sandbox(t).run(['start', fixture('server.js'), '-i', '1', '--json']);
  const { port } = await app.next('listening');
  const { slot, pid, ms } = await app.next('ready');
  assert.equal(typeof ms, 'number');
  const { line } = await app.next('output');
  assert.equal(line, `at ${port}`);

  await assert.rejects(ask(port, '/crash'));
  const output = await app.next('output');
  assert.deepEqual(
    { ...output, time: 0 },
    {
      time: 0,
      event: 'output',
      slot,
      pid,
      stream: 'stderr',
      line: 'the last words',
    },
  );
  const exit = await app.next('exit');
  assert.equal(exit.code, 7);
  assert.equal(exit.expected, false);
  await app.next('ready');
  app.kill('SIGTERM');
  const { code, stdout, stderr } = await app.exit;
  assert.equal(code, 0);
  assert.equal(stderr, '');
  for (const each of stdout.trimEnd().split('\n')) {
    assert.ok(Date.parse(JSON.parse(each).time) > 0, each);
  }
});

test('what a worker prints is taken apart into lines, whatever pieces it comes in', async (t) => {
  const app = sandbox(t).run(['start', fixture('prints.js'), '-i', '1', '--ready-on', 'online'], {
    stderr: /^0:\d+ +\| to stderr\n$/,
  });
  const lines = ['one', 'two', 'in two pieces', '', 'ü whole', '\x1b[31mred\x1b[0m'];
  for (const expected of [...lines, 'colours: undefined']) {
    const [, line] = await app.line(/^0:\d+ +\| (.*)$/);
    assert.equal(line, expected);
  }
  app.kill('SIGTERM');
  await app.line(/^0:\d+ +\| no end of line$/);
  await app.exit;
});

/** With what environment there is to be colour in a pipe. @type {[NodeJS.ProcessEnv, boolean][]} */
const COLOURS = [
  [{}, false],
  [{ FORCE_COLOR: '1' }, true],
  [{ FORCE_COLOR: '0' }, false],
  [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false],
  [{ FORCE_COLOR: '1', NO_COLOR: '' }, true],
];

for (const [env, expected] of COLOURS) {
  test(`with ${JSON.stringify(env)} there is ${expected ? '' : 'no '}colour`, async (t) => {
    const box = sandbox(t, { 'app.js': "require('node:net').createServer().listen(0);" });
    // Node itself warns of both being set.
    const app = box.run(['start', 'app.js', '-i', '1'], { env, stderr: /^/ });
    await app.line(/running: 1 worker/);
    app.kill('SIGTERM');
    const { stdout } = await app.exit;
    assert.equal(stdout.includes('\x1b['), expected);
  });
}

test('on a terminal there is colour, unless it cannot or must not', () => {
  const terminal = { isTTY: true };
  assert.equal(wantsColour(terminal, {}), true);
  assert.equal(wantsColour(terminal, { TERM: 'dumb' }), false);
  assert.equal(wantsColour(terminal, { NO_COLOR: '1' }), false);
  assert.equal(wantsColour(terminal, { FORCE_COLOR: '0' }), false);
});

test('--time puts the time in front', async (t) => {
  const app = sandbox(t).run(['start', fixture('server.js'), '-i', '1', '--time']);
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /;
  await app.line(new RegExp(`${time.source}0:\\d+ +\\| at \\d+$`));
  await app.line(/running: 1 worker/);
  app.kill('SIGTERM');
  const { stdout } = await app.exit;
  for (const line of stdout.trimEnd().split('\n')) assert.match(line, time);
});

test('an app that does not come up ends the command with 1, and says what it said', async (t) => {
  const args = ['start', fixture('broken.js'), '-i', '1', '--max-crashes', '2'];
  const { code, stderr } = await sandbox(t).result([...args, '--backoff-min', '1ms']);
  assert.match(stderr, /^0:\d+ +\| no such database$/m);
  assert.match(
    stderr,
    /^rust-cluster \| worker 0 is given up after 2 crashes in a row: exit code 3 \(2×\); none is left\nrust-cluster \| the last it wrote to stderr:\nrust-cluster \| {3}no such database$/m,
  );
  assert.equal(code, 1);
});

test('it serves on when nobody reads its output any more', async (t) => {
  const app = sandbox(t).run(['start', fixture('server.js'), '-i', '1', '--json']);
  const { port } = await app.next('listening');
  await app.next('running');
  app.child.stdout.destroy();
  await assert.rejects(ask(port, '/crash')); // what it prints of this, it cannot
  const { slot } = await who(port);
  assert.equal(slot, '0');
  app.kill('SIGTERM');
  const { code } = await app.exit;
  assert.equal(code, 0);
});

test('a value that only the supervisor can judge is a usage error, too', async (t) => {
  const box = sandbox(t);
  const { code, stderr } = await box.result([
    'start',
    fixture('server.js'),
    '--check-interval',
    '0',
  ]);
  assert.match(stderr, /^rust-cluster: .*checkInterval/);
  assert.equal(code, 2);
  assert.deepEqual(fs.readdirSync(path.join(box.sockets)), []);
});

/** What a second signal, while a request is under way, makes of the exit code. */
const AT_ONCE = { SIGTERM: 143, SIGINT: 130 };

for (const [signal, expected] of Object.entries(AT_ONCE)) {
  test(`a second ${signal} stops at once, with code ${expected}`, async (t) => {
    const app = sandbox(t).run(['start', fixture('server.js'), '-i', '1', '--json']);
    const { port } = await app.next('listening');
    await app.next('running');
    const answer = ask(port, '/never');
    answer.catch(() => {}); // it is cut off
    const { line } = await app.next('output');
    assert.equal(line, `at ${port}`);
    await app.next('output'); // of /never

    app.kill(signal);
    await app.next('drain');
    app.insist(signal);
    const { code } = await app.exit;
    assert.equal(code, expected);
    await assert.rejects(answer);
  });
}
