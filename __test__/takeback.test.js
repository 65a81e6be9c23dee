'use strict';

// No client waits for a worker that cannot serve it while another one could, and each is answered
// exactly once, whatever the workers do.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');

const {
  ask,
  holder,
  lineUp,
  endAfter,
  settle,
  socketPath,
  startWorkers,
  stop,
  until,
  workerIs,
} = require('./helpers/connections');

const COUNT = 20;

/** As many requests at once. */
function many(target, command) {
  return Array.from({ length: COUNT }, () => ask(target, command));
}

/** Ends the program, and checks that each connection and each request reached one worker, once. */
async function assertExactlyOnce(program, requests) {
  const expected = { connections: requests, requests, distinct: requests };
  assert.deepEqual(await endAfter(program, requests), expected);
}

/** Who accepts: the primary, or the workers themselves. */
const ways = {
  'handed out': startWorkers,
  'in line': async (...how) => {
    const started = await startWorkers(...how);
    await lineUp(started);
    return started;
  },
};

const kinds = {
  TCP: () => undefined,
  'a Unix socket': (t) => ({ path: socketPath(t) }),
};

for (const [way, start] of Object.entries(ways)) {
  describe(way, () => {
    for (const [kind, listenOn] of Object.entries(kinds)) {
      describe(`over ${kind}`, () => {
        test('what a frozen worker has not read is answered by another, once', async (t) => {
          const { program, workers, target } = await start(t, { listen: listenOn(t) });
          await stop(workers[0].pid);
          const answers = await Promise.all(many(target));
          assert.deepEqual(new Set(answers), new Set(['2']));
          process.kill(workers[0].pid, 'SIGCONT');
          await Promise.all(many(target));
          await assertExactlyOnce(program, 2 * COUNT);
        });

        test('fast requests right behind a slow one are answered before it', async (t) => {
          const { program, target } = await start(t, { listen: listenOn(t) });
          const { command, release } = holder(t);
          let slowHasEnded = false;
          let slow;
          await new Promise((sent) => {
            slow = ask(target, command, sent).finally(() => (slowHasEnded = true));
          });
          const fast = await Promise.all(many(target));
          assert.equal(slowHasEnded, false);
          release();
          const busy = await slow;
          assert.ok(fast.some((worker) => worker !== busy));
          await assertExactlyOnce(program, COUNT + 1);
        });

        test('what a worker had not read when it was killed is answered by another', async (t) => {
          // It is not taken back because of the time, but because the worker has died.
          const { program, pid, workers, target } = await start(t, {
            listen: listenOn(t),
            workers: 1,
            signal: 'fork',
            settings: { handoffTimeout: 60_000 },
          });
          await stop(workers[0].pid);
          const answers = many(target);
          process.kill(pid, 'SIGUSR2');
          await program.next('listening');
          process.kill(workers[0].pid, 'SIGKILL');
          assert.deepEqual(new Set(await Promise.all(answers)), new Set(['2']));
          await assertExactlyOnce(program, COUNT);
        });
      });
    }

    test('a worker that was frozen while it waited takes part again as soon as it goes on', async (t) => {
      const { program, pid, workers, target } = await start(t, { signal: 'settle' });
      await settle(pid, program);
      await stop(workers[0].pid);
      await Promise.all(many(target));
      process.kill(workers[0].pid, 'SIGCONT');
      await workerIs(target, 1);
    });

    test('a worker that goes on serves while the one that stood in for it is blocked', async (t) => {
      const { program, pid, workers, target } = await start(t, { signal: 'settle' });
      await settle(pid, program);
      await stop(workers[0].pid);
      await Promise.all(many(target));
      const { command, release } = holder(t);
      const slow = ask(target, command);
      await until(async () => (await program.next('request')).command === 'hold');
      process.kill(workers[0].pid, 'SIGCONT');
      assert.deepEqual(new Set(await Promise.all(many(target))), new Set(['1']));
      release();
      assert.equal(await slow, '2');
    });

    test('a worker may be frozen again and again', async (t) => {
      const { program, workers, target } = await start(t, { workers: 3 });
      for (let round = 0; round < 10; round++) {
        const { pid } = workers[round % 3];
        const before = many(target);
        process.kill(pid, 'SIGSTOP');
        // What it has taken by now it answers when it goes on; the others do not wait for it.
        const during = many(target);
        await Promise.any(during);
        process.kill(pid, 'SIGCONT');
        await Promise.all([...before, ...during]);
      }
      await assertExactlyOnce(program, 20 * COUNT);
    });

    test('a worker that is told to leave while it is frozen keeps no client waiting', async (t) => {
      const { program, pid, workers, target } = await start(t, {
        signal: 'disconnect',
        settings: { handoffTimeout: 1_000 },
      });
      await stop(workers[0].pid);
      const answers = many(target);
      // The other one has answered, so the frozen one has been given its share.
      assert.equal(await Promise.any(answers), '2');
      process.kill(pid, 'SIGUSR2');
      assert.deepEqual(new Set(await Promise.all(answers)), new Set(['2']));
      process.kill(workers[0].pid, 'SIGKILL');
      await assertExactlyOnce(program, COUNT);
    });

    test('no connection waits for the JavaScript of the primary', async (t) => {
      const { command, release } = holder(t);
      const options = { signal: command, workers: 3 };
      const { program, pid, workers, target } = await start(t, options);
      process.kill(pid, 'SIGUSR2');
      await program.next('holding');
      await Promise.all(many(target));
      // Nor does what is taken back from a worker that has been killed in the meantime.
      process.kill(workers[0].pid, 'SIGKILL');
      await stop(workers[1].pid);
      assert.deepEqual(new Set(await Promise.all(many(target))), new Set(['3']));
      release();
      process.kill(workers[1].pid, 'SIGCONT');
      await program.next('exit');
    });

    test('a worker that has left and goes on to live does not spin', async (t) => {
      const { program, pid, target } = await start(t, { signal: 'turns' });
      await ask(target, 'leave');
      await program.next('disconnect');
      const turnsOfWorkers = async () => {
        process.kill(pid, 'SIGUSR2');
        return (await program.next('turns')).turns;
      };
      const before = await turnsOfWorkers();
      for (let round = 0; round < 10; round++) await Promise.all(many(target));
      const after = await turnsOfWorkers();
      const turns = after.map((count, i) => count - before[i]).sort((one, other) => one - other);
      // One has served, the other had nothing to do.
      assert.ok(
        turns[0] < turns[1] / 2,
        `turned ${turns[0]} times, the one that served ${turns[1]}`,
      );
    });
  });
}
