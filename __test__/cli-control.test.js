'use strict';

// The control socket: who may connect, whom it finds, and what it does with the remains of a crash.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { test } = require('node:test');

const { sandbox } = require('./helpers/cli');

const FAILED = 1;
const USAGE = 2;
const NOT_RUNNING = 3;
const ALREADY_RUNNING = 4;

const APP = "require('node:net').createServer().listen(0, '127.0.0.1');";

/** Starts the app of a sandbox, and waits until it is up. */
async function up(box, args = [], options = {}) {
  const app = box.run(['start', 'app.js', '-i', '1', '--json', ...args], options);
  const { socket, name } = await app.next('app');
  await app.next('running');
  return { app, socket, name };
}

test('the socket is for its owner alone, in the run-time directory', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const { socket, name } = await up(box);
  assert.match(name, /^app-[0-9a-f]{8}$/);
  assert.equal(socket, path.join(box.runtime, 'rust-cluster', `${name}.sock`));
  assert.equal(fs.statSync(socket).mode & 0o777, 0o600);
  assert.equal(fs.statSync(path.dirname(socket)).mode & 0o777, 0o700);
});

test('without a run-time directory it is in a directory of the user in the temporary one', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const env = { XDG_RUNTIME_DIR: undefined, TMPDIR: box.runtime };
  const { socket } = await up(box, [], { env });
  const directory = path.join(box.runtime, `rust-cluster-${process.getuid()}`);
  assert.equal(path.dirname(socket), directory);
  assert.equal(fs.statSync(directory).mode & 0o777, 0o700);
  assert.equal((await box.result(['status'], { env })).code, 0);
});

test('a directory that others may enter is refused', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  fs.mkdirSync(box.sockets);
  fs.chmodSync(box.sockets, 0o777);
  for (const args of [['start', 'app.js'], ['status']]) {
    const { code, stderr } = await box.result(args);
    assert.match(stderr, /the directory of the control sockets is not safe: .*\(mode 777\)\n/);
    assert.equal(code, FAILED);
  }
});

test('a link in the place of the directory is refused', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  fs.symlinkSync(box.directory, box.sockets);
  const { code, stderr } = await box.result(['start', 'app.js']);
  assert.match(stderr, /is not safe: .*: it is not a directory\n/);
  assert.equal(code, FAILED);
});

test('a path that is too long for a socket is explained', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const env = { XDG_RUNTIME_DIR: path.join(box.runtime, 'x'.repeat(100)) };
  const { code, stderr } = await box.result(['start', 'app.js'], { env });
  assert.match(stderr, /the path of the control socket is \d+ bytes too long for the system: \//);
  assert.equal(code, USAGE);
});

test('a second app of the same name is told who the first is', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const { app } = await up(box, ['--name', 'shop']);
  const { code, stdout, stderr } = await box.result(['start', 'app.js', '--name', 'shop']);
  const script = path.join(box.directory, 'app.js');
  assert.equal(
    stderr,
    `rust-cluster: an app named 'shop' is running already (${script}, pid ${app.pid})\n` +
      'give this one another name with --name, or end the other: rust-cluster stop --name shop\n',
  );
  assert.equal(stdout, '');
  assert.equal(code, ALREADY_RUNNING);
  assert.equal((await box.result(['status', '--name', 'shop'])).code, 0, 'the first one is gone');
});

test('the socket that a killed app leaves behind is replaced', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const first = await up(box);
  first.app.kill('SIGKILL');
  await first.app.exit;
  assert.ok(fs.existsSync(first.socket));
  assert.equal((await box.result(['status'])).code, NOT_RUNNING);

  const second = await up(box);
  assert.equal(second.socket, first.socket);
  assert.equal((await box.result(['status'])).code, 0);
  assert.deepEqual(fs.readdirSync(box.sockets), [path.basename(second.socket)]);
});

test('of several apps that find such a socket at the same moment, one runs', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const first = await up(box);
  first.app.kill('SIGKILL');
  await first.app.exit;

  const options = { stderr: /^(?:rust-cluster: an app named .* is running already.*\n.*\n)?$/ };
  const apps = Array.from({ length: 3 }, () =>
    box.run(['start', 'app.js', '-i', '1', '--json'], options),
  );
  const running = await Promise.any(apps.map((app) => app.next('running').then(() => app)));
  for (const app of apps) {
    if (app !== running) assert.equal((await app.exit).code, ALREADY_RUNNING);
  }
  const { stdout } = await box.result(['status', '--json']);
  assert.equal(JSON.parse(stdout).pid, running.pid);
  assert.deepEqual(fs.readdirSync(box.sockets), [path.basename(first.socket)]);
});

test('what an app leaves that is killed while it claims its name keeps no other out', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  fs.mkdirSync(box.sockets, { mode: 0o700 });
  const lock = path.join(box.sockets, 'shop.sock.lock');
  fs.mkdirSync(lock);
  fs.utimesSync(lock, 0, 0);
  await up(box, ['--name', 'shop']);
  assert.deepEqual(fs.readdirSync(box.sockets), ['shop.sock']);
});

test('a socket is removed by the app that made it', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const { app } = await up(box);
  app.kill('SIGTERM');
  await app.exit;
  assert.deepEqual(fs.readdirSync(box.sockets), []);
});

test('an app is found from any directory of its package', async (t) => {
  const files = { 'package.json': '{}', 'app.js': APP, 'src/deep/x.js': '' };
  const box = sandbox(t, files);
  const { app } = await up(box);
  const cwd = path.join(box.directory, 'src', 'deep');
  const { code, stdout } = await box.result(['status', '--json'], { cwd });
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).pid, app.pid);
});

test('an app is found from the directory that it was started in', async (t) => {
  const box = sandbox(t, { 'src/app.js': APP });
  const app = box.run(['start', 'src/app.js', '-i', '1', '--json']);
  await app.next('running');
  assert.equal((await box.result(['status'])).code, 0);
});

test('an app is found by the name in the config file', async (t) => {
  const box = sandbox(t, { 'app.js': APP, 'shop.json': '{ "name": "shop" }' });
  const { name } = await up(box, ['--config', 'shop.json']);
  assert.equal(name, 'shop');
  assert.equal(
    (await box.result(['status', '--config', 'shop.json'], { cwd: box.directory })).code,
    0,
  );
});

test('where no app is, those that run elsewhere are named', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  await up(box, ['--name', 'shop']);
  const script = path.join(box.directory, 'app.js');
  for (const command of ['reload', 'stop', 'status']) {
    const { code, stdout, stderr } = await box.result([command], { cwd: box.runtime });
    assert.equal(
      stderr,
      'rust-cluster: no app of this directory is running\n' +
        `running: shop (${script}); choose with --name\n`,
    );
    assert.equal(stdout, '');
    assert.equal(code, NOT_RUNNING);
  }
  const { code, stderr } = await box.result(['scale', '2', '--name', 'shpo']);
  assert.match(stderr, /^rust-cluster: no app named 'shpo' is running\nrunning: shop /);
  assert.equal(code, NOT_RUNNING);
});

test('of several apps of one directory, one has to be chosen', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  await up(box, ['--name', 'one']);
  await up(box, ['--name', 'two']);
  const { code, stderr } = await box.result(['stop']);
  assert.match(
    stderr,
    /several apps of this directory are running\nchoose: --name one .* or --name two /,
  );
  assert.equal(code, USAGE);
});

test('the socket answers with one JSON object on each line', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const { app, socket: file } = await up(box);
  const socket = net.connect(file);
  t.after(() => socket.destroy());
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);

  // Two requests in one write, the second in pieces.
  socket.write('{"id":1,"command":"about"}\n{"id":2,"comm');
  assert.equal((await next()).result.pid, app.pid);
  socket.write('and":"sing"}\n');
  assert.deepEqual(await next(), {
    id: 2,
    error: {
      message: "there is no command 'sing'; there are about, status, reload, scale, stop",
      exitCode: USAGE,
    },
  });
});

for (const [what, text] of [
  ['what is no JSON', 'GET / HTTP/1.1\r\n\r\n'],
  ['a line without an end', 'x'.repeat(2 * 1024 * 1024)],
]) {
  test(`${what} ends the connection, and not the app`, async (t) => {
    const box = sandbox(t, { 'app.js': APP });
    const { socket: file } = await up(box);
    const socket = net.connect(file);
    socket.on('error', () => {}); // it may be reset
    socket.write(text);
    await new Promise((resolve) => socket.on('close', resolve));
    assert.equal((await box.result(['status'])).code, 0);
  });
}

test('an app that does not answer is not mistaken for one that is gone', async (t) => {
  const box = sandbox(t, { 'app.js': APP });
  const { app } = await up(box, ['--name', 'shop']);
  app.kill('SIGSTOP');
  const [status, start] = await Promise.all([
    box.result(['status', '--name', 'shop']),
    box.result(['start', 'app.js', '--name', 'shop']),
  ]);
  assert.match(status.stderr, /the app 'shop' does not answer on \/.*shop\.sock\n/);
  assert.equal(status.code, FAILED);
  assert.match(start.stderr, /an app named 'shop' is running already\n/);
  assert.equal(start.code, ALREADY_RUNNING);
});
