'use strict';

// A service manager's sockets and messages.

const assert = require('node:assert');
const { EventEmitter } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');

const { matches, parseAddress } = require('../lib/supervisor/listen-fds.js');
const { tellSystemd } = require('../lib/supervisor/systemd.js');
const { start } = require('./helpers/program.js');
const { request } = require('./helpers/supervised.js');

test('workers serve on an inherited socket of the address they ask for', async (t) => {
  const program = start(t, path.join(__dirname, 'fixtures/supervisor/activate.js'), {
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
