'use strict';

// Runs every scenario on the builtin cluster and on ours, and expects the same of both: the same
// events in the same order with the same arguments, the same errors, states and exit codes, and no
// process left behind.
//
// A scenario is an entry of a table in scenarios/, and its name is a sentence about behaviour:
//
//     'a worker that exits with a code': {
//       async primary({ cluster, log, watch }) { ... },
//       worker({ cluster, log }) { ... },
//     },
//
// `primary` and `worker` run in processes of their own (see helpers/scenario-process.js for what
// they are given); `parent`, if there is one, comes first and starts the primary. A process may
// not be ended by the scenario: the tree must end by itself. What is logged is compared process by
// process, so a scenario waits for events, and puts what has no fixed order into a lane of its own.
//
// Further keys: `args`, `execArgv`, `env` of the first process; `code`, `signal` with which it ends
// (0); `stderr: true` where something is printed there; `unprivileged`; `supported()`, whether this
// Node and system can run it; `differs`, the reason for a difference that is known and stays;
// `mayLack`, lanes that the builtin loses now and then.
//
// One scenario alone: node __test__/helpers/run-scenario.js 'part of its name' [builtin|ours]

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { describe, it } = require('node:test');
const { reasonToSkip, run } = require('./helpers/compare');

const DIRECTORY = path.join(__dirname, 'scenarios');

// The builtin's record says whether the scenario is a sound one, before ours is held against it.
function assertSound(record, scenario) {
  const shown = JSON.stringify(record, null, 2);
  assert.strictEqual(record.timedOut, false, `with the builtin it does not end: ${shown}`);
  assert.deepStrictEqual(record.left, [], `with the builtin processes are left: ${shown}`);
  assert.notDeepStrictEqual(record.log, {}, 'with the builtin nothing is logged');
  const { signal = null, code = signal === null ? 0 : null } = scenario;
  assert.deepStrictEqual(record.exit, { code, signal }, `with the builtin it fails: ${shown}`);
  if (!scenario.stderr) assert.deepStrictEqual(record.stderr, [], 'with the builtin');
}

async function compare(file, name) {
  const scenario = require(file)[name];
  const builtin = await run({ file, name, ours: false });
  assertSound(builtin, scenario);
  const ours = await run({ file, name, ours: true });
  for (const lane of scenario.mayLack ?? []) if (!(lane in builtin.log)) delete ours.log[lane];
  assert.deepStrictEqual(ours, builtin);
}

describe('ours and the builtin behave alike', { concurrency: 2 }, () => {
  const files = fs.readdirSync(DIRECTORY).filter((entry) => entry.endsWith('.js'));
  for (const file of files.map((entry) => path.join(DIRECTORY, entry))) {
    const title = path.basename(file, '.js');
    for (const [name, scenario] of Object.entries(require(file))) {
      const options = { skip: reasonToSkip(scenario), todo: scenario.differs };
      it(`${title}: ${name}`, options, () => compare(file, name));
    }
  }
});

describe('a difference is found', { concurrency: 2 }, () => {
  const file = path.join(DIRECTORY, 'programs/differing.js');
  for (const [name, scenario] of Object.entries(require(file))) {
    it(name, { skip: reasonToSkip(scenario) }, async () => {
      await assert.rejects(compare(file, name), { message: /strictly deep-equal/ });
    });
  }
});
