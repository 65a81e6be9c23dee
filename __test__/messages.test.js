'use strict';

// When a message leaves, and how long it may be.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const { runToEnd } = require('./helpers/messages');
const { temporary } = require('./helpers/temporary');

const MEGABYTE = 1_000_000;
const GIBIBYTE = 1024 ** 3;

/** Runs `blocks.js` and gives what it has said, by event. */
async function blocks(t, options) {
  const all = { ...options, file: `${temporary(t)}/arrived` };
  const { events } = await runToEnd(t, 'blocks.js', all, { stderr: /^/ });
  return Object.fromEntries(events.map(({ event, ...facts }) => [event, facts]));
}

describe('what a turn has sent arrives before the turn ends', () => {
  const cases = ['worker', 'primary'].flatMap((sender) =>
    [1, 3].map((count) => ({ sender, count })),
  );

  for (const { sender, count } of cases) {
    const what = `${count === 1 ? 'a message' : `${count} messages`} of a ${sender}`;
    const options = { sender, count };
    const whole = Array.from({ length: count }, (_, index) => index + 1);
    test(`${what} that blocks its loop`, async (t) => {
      const { arrived, received } = await blocks(t, { ...options, how: 'blocks' });
      assert.deepEqual(received, { received: whole });
      assert.deepEqual(arrived, { before: true });
    });

    test(`${what} that blocks its loop, with the builtin`, async (t) => {
      const { arrived } = await blocks(t, { ...options, how: 'blocks', builtin: true });
      assert.deepEqual(arrived, { before: true });
    });
  }

  // The other way round nobody is left to tell it.
  for (const count of [1, 3]) {
    const what = count === 1 ? 'a message' : `${count} messages`;
    const whole = Array.from({ length: count }, (_, index) => index + 1);

    test(`${what} of a worker that is killed within it`, async (t) => {
      const { received } = await blocks(t, { sender: 'worker', count, how: 'dies' });
      assert.deepEqual(received, { received: whole });
    });

    test(`${what} of a worker that is killed within it, with the builtin`, async (t) => {
      const options = { sender: 'worker', count, how: 'dies', builtin: true };
      assert.deepEqual((await blocks(t, options)).received, { received: whole });
    });
  }
});

describe('a message may be long', () => {
  const run = (t, options) => runToEnd(t, 'large.js', options, { timeLimit: 120_000 });

  for (const [kind, serialization] of Object.entries({ string: 'json', Buffer: 'advanced' })) {
    test(`a ${kind} of 200 MB goes to a worker and back (${serialization})`, async (t) => {
      const began = performance.now();
      const { code, events } = await run(t, { kind, serialization, length: 200 * MEGABYTE });
      t.diagnostic(`${Math.round(performance.now() - began)} ms`);
      assert.equal(code, 0);
      const of = (name) => events.filter(({ event }) => event === name);
      assert.deepEqual(of('arrived'), [{ event: 'arrived', whole: true }]);
      assert.deepEqual(of('returned'), [{ event: 'returned', whole: true }]);
      assert.deepEqual(of('sent'), [{ event: 'sent', code: null }]);
      assert.equal(events.length, 3);
    });
  }

  // Nobody writes to its memory, so the system never has to find it.
  const tooLong = {
    kind: 'Buffer',
    serialization: 'advanced',
    length: 4 * GIBIBYTE - 8,
    empty: true,
  };

  test('one over the limit is an error of its own, and the channel goes on', async (t) => {
    const { code, events } = await run(t, tooLong);
    assert.equal(code, 0);
    assert.deepEqual(events, [{ event: 'sent', code: 'EMSGSIZE', message: 'write EMSGSIZE' }]);
  });

  test('those sent in the same turn have nothing to do with it', async (t) => {
    const { code, events } = await run(t, { ...tooLong, among: true });
    assert.equal(code, 0);
    const names = events.map(({ event }) => event).sort();
    assert.deepEqual(names, ['sent', 'small', 'small', 'small']);
  });
});
