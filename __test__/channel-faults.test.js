'use strict';

// What becomes of messages when a process has no descriptor left, when both ends close at once, and
// when one reads late. What can be compared with the builtin, event by event, stands in
// scenarios/channel-faults.js.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { eventsIn, fixture, runToEnd } = require('./helpers/messages');
const { temporary } = require('./helpers/temporary');
const { start } = require('./helpers/program');

/** Enough for a process that runs Node, and soon used up. */
const LIMIT = 100;

const MEGABYTE = 1024 * 1024;
const SIDES = ['primary', 'worker'];

/** Ends with what has arrived: each message and whether a socket came with it. */
async function arrivals(program) {
  const { code, stdout } = await program.exit;
  assert.equal(code, 0);
  const messages = eventsIn(stdout).filter(({ event }) => event === 'message');
  return messages.map(({ message, socket }) => (socket ? `${message} with a socket` : message));
}

const WITHOUT_LOSS = ['ready', 'first with a socket', 'behind', 'second with a socket', 'end'];

/** Starts `full.js` with few descriptors. */
function startFull(t, options) {
  const args = [`${LIMIT}`, fixture('full.js'), JSON.stringify(options)];
  return start(t, fixture('../connections/limited.js'), { args, stderr: /^|Handle did not reach/ });
}

for (const receiver of SIDES) {
  const sender = SIDES.find((side) => side !== receiver);

  describe(`a socket is sent to a ${receiver} without a free descriptor`, () => {
    test('what is behind it goes on, and later ones arrive', async (t) => {
      const file = `${temporary(t)}/sent`;
      const program = startFull(t, { sender, full: receiver, file });
      assert.equal((await program.next('full')).code, 'EMFILE');
      const { pid } = await program.next('waiting');
      assert.equal((await program.next('warning')).name, 'SentHandleNotReceivedWarning');
      // Whoever was connected hears that it is over.
      assert.deepEqual(await program.next('client'), { event: 'client', index: 0, text: '' });
      process.kill(pid, 'SIGUSR2');
      const second = await program.next('client');
      assert.deepEqual(second, { event: 'client', index: 1, text: 'second' });
      const expected = ['ready', 'behind', 'second with a socket', 'end'];
      assert.deepEqual(await arrivals(program), expected);
      assert.doesNotMatch(program.stdout, /"error"/);
    });

    test('it is sent again, and arrives when there is one', async (t) => {
      const file = `${temporary(t)}/sent`;
      const program = startFull(t, { sender, full: receiver, file, frees: true });
      const { pid } = await program.next('waiting');
      const first = await program.next('client');
      assert.deepEqual(first, { event: 'client', index: 0, text: 'first' });
      process.kill(pid, 'SIGUSR2');
      assert.deepEqual(await arrivals(program), WITHOUT_LOSS);
      assert.doesNotMatch(program.stdout, /"warning"|"error"/);
    });
  });

  test(`a ${sender} without a free descriptor can send a socket away`, async (t) => {
    const program = startFull(t, { sender, full: sender, file: `${temporary(t)}/sent` });
    const { pid } = await program.next('waiting');
    process.kill(pid, 'SIGUSR2');
    assert.deepEqual(await arrivals(program), WITHOUT_LOSS);
    assert.doesNotMatch(program.stdout, /"warning"|"error"/);
  });
}

describe('with more under way than fits in between', () => {
  const length = 5_000_000;

  for (const [closes, stays] of [
    ['primary', false],
    ['worker', false],
    ['both', false],
    ['worker', true],
    ['both', true],
  ]) {
    const who = closes === 'both' ? 'both' : `the ${closes}`;
    const then = stays ? ', and the worker lives on' : '';
    test(`${who} may disconnect${then}`, async (t) => {
      const options = { closes, stays, length, directory: temporary(t) };
      const { code, events } = await runToEnd(t, 'closing.js', options);
      assert.equal(code, 0);
      const of = (name) => events.filter(({ event }) => event === name);
      assert.deepEqual(of('exit'), [{ event: 'exit', code: 0, signal: null }]);
      assert.deepEqual(new Set(of('end').map(({ side }) => side)), new Set(SIDES));
      assert.deepEqual(of('error'), []);
      assert.ok(of('disconnect').some(({ side }) => side === 'primary'));
      // What a process that lives on had sent arrives where somebody wants it.
      const messages = of('message').map(({ side, length: size }) => `${size} to the ${side}`);
      const listener = { primary: 'worker', worker: stays && 'primary' }[closes];
      const whole = [`${length} to the ${listener}`, `${'behind'.length} to the ${listener}`];
      // Elsewhere it may, if it is read before the end is seen.
      if (listener) assert.deepEqual(messages, whole);
    });
  }
});

describe('the memory of messages that have not been read', () => {
  const run = async (t, options) => {
    const file = `${temporary(t)}/sent`;
    const how = { execArgv: ['--expose-gc'] };
    const { code, events } = await runToEnd(t, 'backlog.js', { ...options, file }, how);
    assert.equal(code, 0);
    assert.equal(events.find(({ event }) => event === 'received').received, options.count);
    const { before, most, after } = events.find(({ event }) => event === 'memory');
    const megabytes = (size) => Math.round(size / MEGABYTE);
    const figures = [megabytes(before), megabytes(most - before), megabytes(after - before)];
    t.diagnostic(`before, most more, in the end more, in MB: ${figures.join(', ')}`);
    return { most: most - before, after: after - before };
  };

  test('does not grow with what a reader that is always a little behind has read', async (t) => {
    const options = { count: 5_000, length: 60_000, ahead: 20, reads: true };
    const { most } = await run(t, options);
    // 300 MB have passed.
    assert.ok(most < 100 * MEGABYTE, `${most} bytes more`);
  });

  test('is not much more than they are, and is given back', async (t) => {
    const options = { count: 20_000, length: 5_000, ahead: 20_000, reads: false };
    const sent = options.count * options.length;
    const { most, after } = await run(t, options);
    assert.ok(most < 2 * sent, `${most} bytes for ${sent}`);
    assert.ok(after < sent / 2, `${after} bytes more than before`);
  });
});
