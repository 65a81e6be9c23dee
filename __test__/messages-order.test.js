'use strict';

// A million messages: each arrives, whole, once and in its place, whatever is among them and whatever
// the reader does meanwhile.

const assert = require('node:assert/strict');
const { test } = require('node:test');

const { runToEnd } = require('./helpers/messages');

/** The sequence depends on it alone: MESSAGES_SEED=N runs one once more. */
const SEED = Number(process.env.MESSAGES_SEED ?? Date.now() % 1_000_000);

/** Every so many messages one has a socket. */
const SOCKETS = 3_000;

/** Runs `stream.js`; resolves with what was sent and received, in an order of its own. */
async function stream(t, options) {
  const how = { timeLimit: 120_000, stderr: /^/ };
  const all = { seed: SEED, sockets: SOCKETS, ...options };
  const { code, signal, events, stderr } = await runToEnd(t, 'stream.js', all, how);
  const told = `seed ${SEED}: ${JSON.stringify(events)} ${stderr}`;
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' }, told);
  const sums = {};
  for (const { event, side, sum, n } of events) sums[`${event}, ${side}`] = { sum, n };
  return sums;
}

function assertComplete(sums, count) {
  const told = `seed ${SEED}`;
  assert.deepEqual(sums['received, worker'], { ...sums['sent, primary'], n: count }, told);
  assert.deepEqual(sums['received, primary'], { ...sums['sent, worker'], n: count }, told);
}

// Both ways, so it is a million together.
for (const [serialization, count] of Object.entries({ json: 300_000, advanced: 200_000 })) {
  test(`${count} messages each way arrive whole and in order (${serialization})`, async (t) => {
    const began = performance.now();
    assertComplete(await stream(t, { serialization, count }), count);
    t.diagnostic(`${Math.round(performance.now() - began)} ms, seed ${SEED}`);
  });

  test(`the builtin brings the same ones (${serialization})`, async (t) => {
    const few = { serialization, count: 20_000 };
    const [ours, builtin] = [await stream(t, few), await stream(t, { ...few, builtin: true })];
    assertComplete(ours, few.count);
    assert.deepEqual(ours, builtin, `seed ${SEED}`);
  });
}
