'use strict';

// Parts of the supervisor that need no process.

const assert = require('node:assert');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, test } = require('node:test');

const { Backoff } = require('../lib/supervisor/backoff.js');
const { availableCpus, resolveCount } = require('../lib/supervisor/cpus.js');
const { Leadership } = require('../lib/supervisor/leader.js');
const { logEvents } = require('../lib/supervisor/log.js');
const { resolveOptions } = require('../lib/supervisor/options.js');
const { Queue } = require('../lib/supervisor/queue.js');
const { Tail } = require('../lib/supervisor/tail.js');
const { temporary } = require('./helpers/temporary.js');

describe('the number of CPUs', () => {
  const cpusWith = (t, files) => {
    const root = temporary(t);
    for (const [name, content] of Object.entries(files)) {
      fs.mkdirSync(path.join(root, path.dirname(name)), { recursive: true });
      fs.writeFileSync(path.join(root, name), content);
    }
    return availableCpus({ root, parallelism: 16 });
  };

  for (const [what, files, expected] of [
    ['is the affinity without cgroups', {}, 16],
    [
      'is limited by the quota of cgroup 2',
      { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '250000 100000\n' },
      2,
    ],
    [
      'is limited by a group above',
      {
        'proc/self/cgroup': '0::/pod/container\n',
        'sys/fs/cgroup/pod/cpu.max': '300000 100000\n',
        'sys/fs/cgroup/pod/container/cpu.max': 'max 100000\n',
      },
      3,
    ],
    [
      'is at least 1',
      { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '50000 100000\n' },
      1,
    ],
    [
      'is not limited by "max"',
      { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n' },
      16,
    ],
    [
      'is limited by the quota of cgroup 1, in a container that sees another path',
      {
        'proc/self/cgroup': '4:cpu,cpuacct:/docker/abc\n1:memory:/docker/abc\n',
        'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '400000\n',
        'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      },
      4,
    ],
    [
      'is not limited by a quota of -1',
      {
        'proc/self/cgroup': '1:cpu:/\n',
        'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      16,
    ],
  ]) {
    test(what, (t) => assert.strictEqual(cpusWith(t, files), expected));
  }

  test('here is at least 1, and what the system says at most', () => {
    const cpus = availableCpus();
    assert.ok(cpus >= 1 && cpus <= os.availableParallelism());
  });

  test('makes the number of workers', () => {
    assert.strictEqual(resolveCount('auto', 8), 8);
    assert.strictEqual(resolveCount(3, 8), 3);
    assert.strictEqual(resolveCount(0, 8), 0);
    assert.strictEqual(resolveCount(-2, 8), 6);
    assert.strictEqual(resolveCount(-8, 8), 1);
  });
});

describe('options', () => {
  test('have defaults', () => {
    const { workers, killTimeout, maxMemory, readyOn } = resolveOptions();
    assert.deepStrictEqual(
      { workers, killTimeout, maxMemory, readyOn },
      { workers: 'auto', killTimeout: 10_000, maxMemory: 0, readyOn: 'listening' },
    );
    assert.strictEqual(resolveOptions({ waitReady: true }).readyOn, 'ready');
    assert.strictEqual(resolveOptions({ killTimeout: undefined }).killTimeout, 10_000);
  });

  test('take sizes as people write them', () => {
    const sizes = {
      1000: 1000,
      '300M': 300 * 1024 ** 2,
      '1.5G': 1.5 * 1024 ** 3,
      '512 kB': 524288,
    };
    for (const [text, bytes] of Object.entries(sizes)) {
      assert.strictEqual(resolveOptions({ maxMemory: text }).maxMemory, bytes);
    }
  });

  for (const [given, message] of [
    [{ wrokers: 2 }, "There is no option 'wrokers'"],
    [{ workers: 1.5 }, "'workers' must be 'auto' or a whole number; received 1.5"],
    [{ workers: '2' }, "'workers' must be 'auto' or a whole number; received '2'"],
    [
      { killTimeout: '10s' },
      "'killTimeout' must be a number of milliseconds, 0 or more; received '10s'",
    ],
    [
      { maxMemory: 'much' },
      "'maxMemory' must be a number of bytes, or a text like '300M'; received 'much'",
    ],
    [
      { slotVariable: 'A=B' },
      "'slotVariable' must be the name of an environment variable, or null; received 'A=B'",
    ],
    [{ waitReady: 1 }, "'waitReady' must be true or false; received 1"],
  ]) {
    test(message, () => {
      assert.throws(() => resolveOptions(given), { code: 'ERR_INVALID_ARG_VALUE', message });
    });
  }
});

test('the wait doubles with each crash in a row, up to a limit, and then it is over', () => {
  const options = { backoffMin: 100, backoffMax: 350, minUptime: 1000, maxCrashes: 5 };
  const backoff = new Backoff(options);
  const crash = () => ({ code: 1 });
  assert.deepStrictEqual(
    [0, 0, 0, 0, 0].map((readyFor) => backoff.next(crash(), readyFor)),
    [100, 200, 350, 350, undefined],
  );
  assert.strictEqual(backoff.crashes.length, 5);
  assert.strictEqual(backoff.next(crash(), 1000), 100, 'it had run for long enough');
  assert.strictEqual(backoff.count, 1);
  const patient = new Backoff({ ...options, maxCrashes: Infinity });
  for (let i = 0; i < 100; i++) assert.notStrictEqual(patient.next(crash(), 0), undefined);
  assert.strictEqual(patient.crashes.length, 20);
});

test('the last lines are kept, whole and not too long', () => {
  const tail = new Tail();
  tail.add('one\ntw');
  tail.add('o\r\nthree');
  assert.deepStrictEqual(tail.lines, ['one', 'two', 'three']);
  tail.add(`\n${'x'.repeat(5000)}\n`);
  assert.strictEqual(tail.lines[3].length, 1000);
  for (let i = 0; i < 100; i++) tail.add(`${i}\n`);
  assert.strictEqual(tail.lines.length, 20);
  assert.strictEqual(tail.lines.at(-1), '99');
});

test('what is queued runs one after another, also after a failure', async () => {
  const queue = new Queue();
  const done = [];
  const first = queue.run(async () => {
    await null;
    done.push(1);
    throw new Error('one');
  });
  const second = queue.run(async () => done.push(2));
  await assert.rejects(first, /one/);
  assert.strictEqual(await second, 2);
  assert.deepStrictEqual(done, [1, 2]);
});

test('a leader that has resigned is not chosen again while it goes', () => {
  const told = [];
  const member = (slot) => ({
    slot,
    generation: 1,
    state: 'ready',
    say: ({ act }) => told.push([slot, act]),
  });
  const [first, second] = [member(0), member(1)];
  const named = [];
  const leadership = new Leadership(({ slot }) => named.push(slot));
  leadership.update([first, second]);
  // It says so before it says that it goes.
  leadership.onResigned(first);
  leadership.update([first]);
  assert.strictEqual(leadership.current, undefined);
  leadership.update([first, second]);
  assert.deepStrictEqual(named, [0, 1]);
  assert.deepStrictEqual(told, [
    [0, 'lead'],
    [1, 'lead'],
  ]);
});

test('what is no good news is logged, in the words of the command', () => {
  const supervisor = new EventEmitter();
  const lines = [];
  logEvents(supervisor, (line) => lines.push(line));
  const worker = { slot: 2, process: { pid: 77 } };
  const exit = { code: 1, signal: null, uptime: 1234, stderr: ['oh', 'no'] };
  supervisor.emit('ready', worker, { ms: 80 });
  supervisor.emit('leader', worker);
  supervisor.emit('exit', worker, { ...exit, expected: true });
  supervisor.emit('kill', worker, { signal: 'SIGTERM', reason: 'stop', drained: true });
  assert.deepStrictEqual(lines, []);
  supervisor.emit('exit', worker, { ...exit, expected: false });
  supervisor.emit('kill', worker, { signal: 'SIGKILL', reason: 'hang', drained: false });
  supervisor.emit('reloadFailed', { generation: 2, error: new Error('It ended') });
  supervisor.emit('crashLoop', { slot: 2, left: 1, crashes: [exit] });
  assert.deepStrictEqual(lines, [
    '[rust-cluster] worker 2 (pid 77) ended unexpectedly after 1.2 s: exit code 1',
    '[rust-cluster] worker 2 (pid 77) gets SIGKILL: it hangs',
    '[rust-cluster] reload given up: It ended; the old workers serve on',
    '[rust-cluster] worker 2 is given up after a crash: exit code 1; 1 worker left\n' +
      'the last it wrote to stderr:\n  oh\n  no',
  ]);
  logEvents(supervisor, false);
});
