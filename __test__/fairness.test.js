'use strict';

// Messages do not keep connections from being served, nor connections messages. How long they wait is
// printed, not asserted: it is the machine's matter as well.

const assert = require('node:assert/strict');
const net = require('node:net');
const { test } = require('node:test');

const { startFixture } = require('./helpers/messages');

const CONNECTIONS = 500;
const PINGS = 2_000;

/** How many clients ask at the same time. */
const CLIENTS = 8;

/** FAIRNESS_BUILTIN=1 shows the figures of the builtin. */
const builtin = Boolean(process.env.FAIRNESS_BUILTIN);

/** Asks on a fresh connection. Resolves with how long it took, in milliseconds. */
function ask(port) {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8').on('data', (text) => (answer += text));
    socket.on('error', reject);
    socket.on('end', () => {
      // Nothing is left of it in the kernel, whose ports are limited.
      socket.resetAndDestroy();
      if (/^\d\n$/.test(answer)) resolve(performance.now() - began);
      else reject(new Error(`the answer was '${answer}'`));
    });
  });
}

/** Clients that ask one time after the other for as long as `goesOn` says so. */
async function connections(port, goesOn) {
  const times = [];
  const client = async () => {
    while (goesOn()) times.push(await ask(port));
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return times;
}

function figures(times) {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (part) => sorted[Math.floor((sorted.length - 1) * part)].toFixed(2);
  return `median ${at(0.5)} ms, 99 % ${at(0.99)} ms, worst ${at(1)} ms of ${times.length}`;
}

test('every connection is answered during a flood of messages', async (t) => {
  const program = startFixture(t, 'flood.js', { builtin });
  const { port } = await program.next('listening');
  await program.next('flooding');
  let left = CONNECTIONS;
  const began = performance.now();
  const times = await connections(port, () => left-- > 0);
  program.kill('SIGUSR2');
  let messages = 0;
  for (let worker = 0; worker < 2; worker++) {
    const { toWorker, toPrimary } = await program.next('counts');
    assert.equal(toPrimary[0], toPrimary[1]);
    assert.equal(toWorker[0], toWorker[1]);
    assert.ok(toWorker[0] > 0 && toPrimary[0] > 0);
    messages += toWorker[0] + toPrimary[0];
  }
  const seconds = (performance.now() - began) / 1000;
  assert.equal((await program.exit).code, 0);
  assert.equal(times.length, CONNECTIONS);
  t.diagnostic(`connections: ${figures(times)}`);
  t.diagnostic(
    `messages: ${Math.round(messages / seconds)} per second, for ${seconds.toFixed(2)} s`,
  );
});

test('every message arrives during a flood of connections', async (t) => {
  const program = startFixture(t, 'flood.js', { builtin, pings: PINGS });
  const { port } = await program.next('listening');
  await program.next('flooding');
  let over = false;
  const pinged = program.next('pinged').finally(() => (over = true));
  const asked = connections(port, () => !over);
  const { times } = await pinged;
  assert.equal(times.length, 2 * PINGS);
  t.diagnostic(`round trips: ${figures(times)}`);
  t.diagnostic(`connections: ${figures(await asked)}`);
  program.kill('SIGUSR2');
  assert.equal((await program.exit).code, 0);
});
