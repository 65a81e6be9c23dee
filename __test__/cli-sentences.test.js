'use strict';

// What a person is told of each of the supervisor's events.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const { addressText, sentence } = require('../lib/cli/sentences');
const { duration, size } = require('../lib/supervisor/units');

const root = path.join(__dirname, '..');
const exit = { code: 3, signal: null, uptime: 250, stderr: ['no database', '', '  at home'] };
const worker = { slot: 1, pid: 77 };

/** An event, and what is said of it: level and text. @type {[object, string, string][]} */
const SAID = [
  [
    { event: 'app', name: 'shop', script: '/srv/app.js', pid: 7 },
    'info',
    'shop: /srv/app.js (pid 7)',
  ],
  [
    { event: 'listening', addressType: 4, address: null, port: 80, ...worker },
    'info',
    'listening on port 80',
  ],
  [{ event: 'ready', ms: 83, ...worker }, 'info', 'worker 1 (pid 77) is ready after 83 ms'],
  [{ event: 'running', workers: 2, ms: 1500 }, 'info', 'running: 2 workers ready after 1.5 s'],
  [
    { event: 'notReady', timeout: 30_000, readyOn: 'listening', ...worker },
    'warning',
    'worker 1 (pid 77) does not listen after 30 s; it is replaced ' +
      "(an app that never listens needs readyOn 'online')",
  ],
  [
    { event: 'notReady', timeout: 500, readyOn: 'ready', ...worker },
    'warning',
    "worker 1 (pid 77) has not said process.send('ready') after 500 ms; it is replaced",
  ],
  [
    { event: 'drain', reason: 'reload', ...worker },
    'info',
    'worker 1 (pid 77) lets its requests end: reload',
  ],
  [
    { event: 'kill', signal: 'SIGTERM', reason: 'stop', ...worker },
    'warning',
    'worker 1 (pid 77) gets SIGTERM: the app stops',
  ],
  [
    { event: 'kill', signal: 'SIGTERM', reason: 'reload', drained: true, ...worker },
    'info',
    'worker 1 (pid 77) has ended all connections: it gets SIGTERM',
  ],
  [
    { event: 'exit', ...exit, expected: false, ...worker },
    'error',
    'worker 1 (pid 77) ended unexpectedly after 250 ms: exit code 3',
  ],
  [
    { event: 'exit', ...exit, code: null, signal: 'SIGTERM', expected: true, ...worker },
    'info',
    'worker 1 (pid 77) ended (SIGTERM)',
  ],
  [
    { event: 'exit', ...exit, reason: 'hang', expected: false, ...worker },
    'info',
    'worker 1 (pid 77) ended (exit code 3)',
  ],
  [
    { event: 'crashLoop', slot: 1, left: 0, crashes: [{ signal: 'SIGTERM', reason: 'not-ready' }] },
    'error',
    'worker 1 is given up after a crash: not ready in time; none is left',
  ],
  [
    { event: 'backoff', slot: 1, delay: 100, crashes: 1 },
    'warning',
    'worker 1 starts again in 100 ms',
  ],
  [
    { event: 'backoff', slot: 1, delay: 800, crashes: 4 },
    'warning',
    'worker 1 starts again in 800 ms (4 crashes in a row)',
  ],
  [
    {
      event: 'crashLoop',
      slot: 1,
      left: 1,
      crashes: [{ ...exit, code: null, signal: 'SIGSEGV' }, exit, exit],
    },
    'error',
    'worker 1 is given up after 3 crashes in a row: SIGSEGV (1×), exit code 3 (2×); 1 worker left\n' +
      'the last it wrote to stderr:\n  no database\n\n    at home',
  ],
  [
    { event: 'hang', ms: 5000, stack: 'at loop (app.js:3)', ...worker },
    'warning',
    'worker 1 (pid 77) hangs: its event loop has not turned for 5.0 s; it is replaced\n' +
      '  at loop (app.js:3)',
  ],
  [
    { event: 'recycle', reason: 'memory', value: 340 << 20, limit: 300 << 20, ...worker },
    'info',
    'worker 1 (pid 77) is replaced: it uses 340 MB of memory, the limit is 300 MB',
  ],
  [
    { event: 'recycle', reason: 'age', value: 7_300_000, limit: 7_200_000, ...worker },
    'info',
    'worker 1 (pid 77) is replaced: it is 2 h 1 min old, the limit is 2 h 0 min',
  ],
  [
    { event: 'recycle', reason: 'connections', value: 11, limit: 10, ...worker },
    'info',
    'worker 1 (pid 77) is replaced: it has had 11 connections, the limit is 10',
  ],
  [{ event: 'leader', ...worker }, 'info', 'worker 1 (pid 77) is the leader'],
  [{ event: 'scale', from: 2, to: 1 }, 'info', 'scaling from 2 to 1 worker'],
  [{ event: 'reload', generation: 2 }, 'info', 'reload: replacing all workers (generation 2)'],
  [
    { event: 'reloaded', generation: 2, workers: 2, ms: 544 },
    'info',
    'reloaded: 2 workers replaced in 544 ms',
  ],
  [
    { event: 'reloadFailed', error: { message: 'It ended', exit: { ...exit, stderr: [] } } },
    'error',
    'reload given up: It ended; the old workers serve on',
  ],
  [
    { event: 'reloadFailed', error: { code: 'ERR_SUPERVISOR_STOPPED', message: 'It stops' } },
    'error',
    'reload given up: It stops',
  ],
  [{ event: 'signal', signal: 'SIGHUP', action: 'reload' }, 'info', 'SIGHUP: reloading'],
  [{ event: 'stop' }, 'info', 'stopping: requests in flight may end'],
  [{ event: 'stopped', code: 0 }, 'info', 'stopped'],
  [{ event: 'stopped', code: 1 }, 'info', 'stopped, exit code 1'],
];

/** Those of which nothing is said: others say it. */
const SILENT = [
  { event: 'start', reason: 'crash', ...worker },
  { event: 'running', workers: 0, ms: 1 },
  { event: 'stop', signal: 'SIGINT' },
  { event: 'of a newer version' },
];

for (const [event, level, text] of SAID) {
  test(`${event.event}: ${text.split('\n')[0]}`, () => {
    assert.deepEqual(sentence(event), { level, text });
  });
}

test('of some events nothing is said', () => {
  for (const event of SILENT) assert.equal(sentence(event), undefined);
});

test('every event of the supervisor is here, and in the reference', () => {
  const types = fs.readFileSync(path.join(root, 'lib', 'supervisor', 'index.d.ts'), 'utf8');
  const [, map] = /interface SupervisorEventMap \{\n(.*?)\n\}/s.exec(types);
  const names = Array.from(map.matchAll(/^ {2}(\w+): \[/gm), ([, name]) => name);
  assert.ok(names.length >= 18);
  const docs = fs.readFileSync(path.join(root, 'docs', 'command.md'), 'utf8');
  const known = new Set([...SAID.map(([event]) => event), ...SILENT].map(({ event }) => event));
  for (const name of names) {
    assert.ok(known.has(name), name);
    assert.match(docs, new RegExp(`^\\|[^|]*\`${name}\``, 'm'));
  }
});

test('every reason for which a worker goes has words', () => {
  const types = fs.readFileSync(path.join(root, 'lib', 'supervisor', 'index.d.ts'), 'utf8');
  const [, union] = /export type Reason =\n(.*?);/s.exec(types);
  const reasons = Array.from(union.matchAll(/\| '([\w-]+)'/g), ([, reason]) => reason);
  assert.ok(reasons.length >= 9);
  for (const reason of reasons) {
    assert.doesNotMatch(sentence({ event: 'drain', reason, ...worker }).text, /undefined/);
  }
});

test('addresses are written as they are used', () => {
  const texts = {
    'port 80': { addressType: 6, address: '::', port: 80 },
    '127.0.0.1:80': { addressType: 4, address: '127.0.0.1', port: 80 },
    '[::1]:80': { addressType: 6, address: '::1', port: 80 },
    '/run/app.sock': { addressType: -1, address: '/run/app.sock', port: null },
    'UDP port 53': { addressType: 'udp4', address: null, port: 53 },
  };
  for (const [text, address] of Object.entries(texts)) assert.equal(addressText(address), text);
});

test('quantities are as precise as somebody wants to know them', () => {
  const times = { 7.4: '7 ms', 1234: '1.2 s', 9980: '10 s', 61_000: '1 min 1 s' };
  for (const [ms, text] of Object.entries(times)) assert.equal(duration(Number(ms)), text);
  assert.equal(duration(3_660_000), '1 h 1 min');
  assert.equal(duration(90_000_000), '1 d 1 h');
  assert.equal(size(300 << 20), '300 MB');
  assert.equal(size(1.5 * 1024 ** 3), '1.5 GB');
});
