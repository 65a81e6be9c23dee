'use strict';

// reload, scale, stop and status, on an app that runs in another terminal.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { sandbox } = require('./helpers/cli');

const SERVER = fs.readFileSync(sandbox.fixture('server.js'), 'utf8');

/** Starts the app of a sandbox with two workers, and waits until it is up. */
async function up(t, args = [], options = {}) {
  const box = sandbox(t, { 'app.js': SERVER });
  const app = box.run(['start', 'app.js', '-i', '2', '--json', ...args], options);
  const { port } = await app.next('listening');
  await app.next('running');
  return { ...box, app, port };
}

async function statusOf(box) {
  const { stdout, stderr } = await box.result(['status', '--json']);
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

test('status shows the workers in a table', async (t) => {
  const box = await up(t);
  const { code, stdout, stderr } = await box.result(['status']);
  assert.equal(stderr, '');
  assert.equal(code, 0);
  const lines = stdout.split('\n');
  assert.match(lines[0], /^app-[0-9a-f]{8}$/);
  assert.equal(lines[1], `app        ${path.join(box.directory, 'app.js')}`);
  assert.match(lines[2], new RegExp(`^pid {8}${box.app.pid}, up \\d`));
  assert.equal(lines[3], 'state      running, 2 of 2 ready');
  assert.equal(lines[4], `listening  127.0.0.1:${box.port}`);
  assert.match(lines[6], /^SLOT +PID +STATE +UP +RESTARTS +CRASHES +MEMORY +CONNECTIONS$/);
  const rows = lines.slice(7, -1).sort();
  assert.equal(rows.length, 2);
  for (const [slot, row] of rows.entries()) {
    const shape = `^ +${slot} +\\d+ +ready(?:, leader)? +[\\d.]+ m?s +0 +0 +\\d+ MB +0$`;
    assert.match(row, new RegExp(shape));
  }
  assert.equal(stdout.match(/, leader/g).length, 1);
});

test('status --json is for programs', async (t) => {
  const box = await up(t);
  const status = await statusOf(box);
  assert.equal(status.pid, box.app.pid);
  assert.equal(status.script, path.join(box.directory, 'app.js'));
  assert.equal(status.state, 'running');
  assert.equal(status.ready, 2);
  assert.deepEqual(
    status.workers.map(({ slot, state }) => ({ slot, state })),
    [
      { slot: 0, state: 'ready' },
      { slot: 1, state: 'ready' },
    ],
  );
});

test('reload replaces every worker, and tells of each', async (t) => {
  const box = await up(t);
  const before = await statusOf(box);
  const { code, stdout, stderr } = await box.result(['reload']);
  assert.equal(stderr, '');
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.match(lines[0], /^reload: replacing all workers \(generation 2\)$/);
  for (const slot of [0, 1]) {
    assert.match(
      stdout,
      new RegExp(`^worker ${slot} \\(pid \\d+\\) is ready after [\\d.]+ m?s$`, 'm'),
    );
  }
  for (const { pid, slot } of before.workers) {
    assert.match(stdout, new RegExp(`^worker ${slot} \\(pid ${pid}\\) ended`, 'm'));
  }
  assert.match(lines.at(-1), /^reloaded: 2 workers replaced in /);

  const old = new Set(before.workers.map(({ pid }) => pid));
  for (const { pid } of (await statusOf(box)).workers) assert.ok(!old.has(pid));
});

test('reload --json prints the events', async (t) => {
  const box = await up(t);
  const { stdout } = await box.result(['reload', '--json', '--parallel', '2']);
  const events = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).event);
  assert.equal(events[0], 'reload');
  assert.equal(events.at(-1), 'reloaded');
  assert.equal(events.filter((event) => event === 'ready').length, 2);
});

test('a reload to a version that does not come up fails, and the old one serves', async (t) => {
  const box = await up(t);
  fs.writeFileSync(path.join(box.directory, 'app.js'), "throw new Error('a bad version');");
  const { code, stdout, stderr } = await box.result(['reload']);
  assert.match(stderr, /^rust-cluster: reload given up: .+; the old workers serve on\n/m);
  assert.match(stderr, /^ {2}Error: a bad version$/m);
  assert.doesNotMatch(stdout, /reloaded/);
  assert.equal(code, 1);
  const { pid } = JSON.parse(await (await fetch(`http://127.0.0.1:${box.port}/`)).text());
  const { workers, ready } = await statusOf(box);
  assert.equal(ready, 2);
  assert.ok(workers.some((worker) => worker.pid === pid));
});

test('scale starts workers, and ends those that are too many', async (t) => {
  const box = await up(t);
  const more = await box.result(['scale', '3']);
  assert.match(more.stdout, /^scaling from 2 to 3 workers\n/);
  assert.match(more.stdout, /^worker 2 \(pid \d+\) is ready after /m);
  assert.equal(more.code, 0);
  assert.equal((await statusOf(box)).ready, 3);

  const less = await box.result(['scale', '1']);
  assert.match(less.stdout, /^scaling from 3 to 1 worker\n/);
  assert.equal(less.code, 0);
  assert.deepEqual(
    (await statusOf(box)).workers.map(({ slot }) => slot),
    [0],
  );
});

test('an app that is scaled to nothing can be scaled up again', async (t) => {
  const box = await up(t);
  assert.equal((await box.result(['scale', '0'])).code, 0);
  const nothing = await statusOf(box);
  assert.equal(nothing.state, 'running');
  assert.deepEqual(nothing.workers, []);
  assert.deepEqual(nothing.addresses, []);
  assert.equal((await box.result(['scale', '1'])).code, 0);
  const { port } = await box.app.next('listening');
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200);
});

for (const args of [['stop'], ['stop', '--now']]) {
  test(`${args.join(' ')} returns when the app is gone`, async (t) => {
    const box = await up(t);
    const { code, stdout } = await box.result(args);
    assert.match(stdout, /^stopped$/m);
    assert.equal(code, 0);
    assert.deepEqual(fs.readdirSync(box.sockets), []);
    assert.equal((await box.app.exit).code, 0);
    assert.equal((await box.result(['status'])).code, 3);
  });
}

test('a reload goes on when the one who asked for it has gone away', async (t) => {
  const box = await up(t);
  const client = box.run(['reload']);
  await client.line(/^reload: /);
  client.kill('SIGKILL');
  await client.exit;
  await box.app.next('reloaded');
});
