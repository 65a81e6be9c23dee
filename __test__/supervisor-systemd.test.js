'use strict';

// A service manager's sockets and messages.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');

const { matches, parseAddress } = require('../lib/supervisor/listen-fds.js');
const { tellSystemd } = require('../lib/supervisor/systemd.js');
const { sandbox } = require('./helpers/cli.js');
const { start } = require('./helpers/program.js');
const { request, supervised } = require('./helpers/supervised.js');

const FIXTURES = path.join(__dirname, 'fixtures/supervisor');

test('workers serve on an inherited socket of the address they ask for', async (t) => {
  const program = start(t, path.join(FIXTURES, 'activate.js'), {
    args: ['app.js', JSON.stringify({ workers: 2, systemd: true })],
  });
  const { pid, port } = await program.next('activated');
  const listening = await program.next('listening');
  assert.strictEqual(listening.port, port);
  await program.next('running');
  const first = JSON.parse((await request({ port })).body);

  process.kill(pid, 'SIGHUP');
  await program.next('reloaded');
  const second = JSON.parse((await request({ port })).body);
  assert.notStrictEqual(second.pid, first.pid);

  process.kill(pid, 'SIGTERM');
  assert.strictEqual((await program.exit).code, 0);
});

test('a socket is used where it is what the server asks for', () => {
  const tcp = { fd: 3, host: '127.0.0.1', port: 80 };
  const any = { fd: 3, host: '::', port: 80 };
  const unix = { fd: 3, path: '/run/app.sock' };
  assert.ok(matches(tcp, { port: 80 }));
  assert.ok(matches(tcp, { port: 80, host: '127.0.0.1' }));
  assert.ok(matches(tcp, { port: 80, host: 'localhost' }));
  assert.ok(matches(any, { port: 80, host: '0.0.0.0' }));
  assert.ok(matches(unix, { path: '/run/app.sock' }));
  assert.ok(!matches(tcp, { port: 81 }));
  assert.ok(!matches(tcp, { port: 80, host: '10.0.0.1' }));
  assert.ok(!matches(tcp, { port: 80, host: '0.0.0.0' }));
  assert.ok(!matches(any, { port: 80, host: '127.0.0.1' }));
  assert.ok(!matches(unix, { port: 80 }));
  assert.ok(!matches(tcp, { path: '/run/app.sock' }));
  assert.ok(!matches(tcp, {}));
});

test('addresses are read as the kernel prints them', () => {
  assert.deepStrictEqual(parseAddress('0100007F:1F90'), { host: '127.0.0.1', port: 8080 });
  assert.deepStrictEqual(parseAddress('00000000000000000000000000000000:0050'), {
    host: '::',
    port: 80,
  });
  assert.deepStrictEqual(parseAddress('00000000000000000000000001000000:0050'), {
    host: '::1',
    port: 80,
  });
  assert.deepStrictEqual(parseAddress('B80D0120000000000000000001000000:01BB'), {
    host: '2001:db8::1',
    port: 443,
  });
});

test('the service manager is told how things stand, and that the loop turns', async (t) => {
  const variables = { NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '20000' };
  Object.assign(process.env, variables);
  const supervisor = new EventEmitter();
  Object.assign(supervisor, { state: 'running', status: () => ({ ready: 2, wanted: 3 }) });
  const sent = [];
  const end = tellSystemd(supervisor, (socket, text) => {
    assert.strictEqual(socket, '/run/notify');
    sent.push(text);
    supervisor.emit('sent', text);
  });
  t.after(end);
  for (const name of Object.keys(variables)) assert.strictEqual(process.env[name], undefined);

  supervisor.emit('running');
  supervisor.emit('exit');
  supervisor.emit('reload');
  supervisor.emit('reloaded');
  supervisor.emit('reloadFailed', { error: new Error('it is broken\nvery') });
  supervisor.emit('stop');
  const [, , reloading] = sent;
  assert.match(reloading, /^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=reloading$/);
  sent.splice(2, 1);
  assert.deepStrictEqual(sent, [
    'READY=1\nSTATUS=2 of 3 workers ready',
    'STATUS=2 of 3 workers ready',
    'READY=1\nSTATUS=2 of 3 workers ready',
    'READY=1\nSTATUS=reload failed: it is broken',
    'STOPPING=1\nSTATUS=stopping',
  ]);
  // The interval alone keeps no process alive.
  const alive = setInterval(() => {}, 60_000);
  await new Promise((resolve) => {
    supervisor.on('sent', (text) => text === 'WATCHDOG=1' && resolve());
  });
  clearInterval(alive);
});

const withoutPython = () =>
  spawnSync('python3', ['--version']).status === 0 ? false : 'the service manager is in Python';

describe('under a service manager', { skip: withoutPython() }, () => {
  /** What runs a program as its service. */
  const managed = (notify, socket) => [
    'python3',
    path.join(FIXTURES, 'service-manager.py'),
    notify,
    socket,
    process.execPath,
  ];

  /** The next message with that line; all are of the primary. */
  const notified = async (program, pid, line) => {
    for (;;) {
      const message = await program.next('notified');
      assert.strictEqual(message.pid, pid);
      if (message.lines.includes(line)) return message.lines;
    }
  };

  test('the command tells how things stand, and serves on its sockets', async (t) => {
    const box = sandbox(t);
    const socket = path.join(box.directory, 'app.sock');
    const args = ['start', path.join(FIXTURES, 'addresses.js'), '-i', '2', '--json'];
    const app = box.run(args, { command: managed(path.join(box.runtime, 'notify'), socket) });
    const { pid, port } = await app.next('activated');
    const ready = await notified(app, pid, 'READY=1');
    assert.deepStrictEqual(ready, ['READY=1', 'STATUS=2 of 2 workers ready']);
    const own = [];
    for (let n = 0; n < 3; n++) own.push(await app.next('listening'));
    assert.deepStrictEqual(own.filter((each) => each.port === port).length, 1);
    const { port: another } = own.find((each) => each.port > 0 && each.port !== port);
    for (const address of [{ port }, { socketPath: socket }, { port: another }]) {
      assert.deepStrictEqual(JSON.parse((await request(address)).body).left, []);
    }

    const now = () => process.hrtime.bigint() / 1000n;
    const before = now();
    process.kill(pid, 'SIGHUP');
    const [, since, status] = await notified(app, pid, 'RELOADING=1');
    const at = BigInt(/^MONOTONIC_USEC=(\d+)$/.exec(since)[1]);
    assert.ok(at >= before && at <= now(), `${before} ${at}`);
    assert.strictEqual(status, 'STATUS=reloading');
    await app.next('reloaded');
    await notified(app, pid, 'READY=1');
    await request({ socketPath: socket });
    await notified(app, pid, 'WATCHDOG=1');

    process.kill(pid, 'SIGTERM');
    assert.deepStrictEqual(await notified(app, pid, 'STOPPING=1'), [
      'STOPPING=1',
      'STATUS=stopping',
    ]);
    assert.strictEqual((await app.exit).code, 0);
    // It is the manager's, for the next start.
    assert.ok(fs.existsSync(socket));
  });

  test('a supervisor tells it by a socket in the abstract namespace', async (t) => {
    const box = sandbox(t);
    const notify = `@rust-cluster-test-${process.pid}`;
    const command = managed(notify, path.join(box.directory, 'app.sock'));
    const { port, program } = await supervised(t, { workers: 1, systemd: true }, { command });
    const { pid, port: passed } = await program.next('activated');
    assert.strictEqual(port, passed);
    await notified(program, pid, 'READY=1');
    await notified(program, pid, 'WATCHDOG=1');
    process.kill(pid, 'SIGTERM');
    await notified(program, pid, 'STOPPING=1');
    assert.strictEqual((await program.exit).code, 0);
  });
});
