'use strict';

// Shows what a scenario records, for work on a single one:
//
//     node __test__/helpers/run-scenario.js 'part of its name' [builtin|ours]

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { run } = require('./compare');

const DIRECTORY = path.join(__dirname, '../scenarios');

async function show(file, name, only) {
  const records = {};
  for (const which of ['builtin', 'ours']) {
    if (only !== undefined && only !== which) continue;
    records[which] = await run({ file, name, ours: which === 'ours' });
    console.log(`# ${path.basename(file, '.js')}: ${name} (${which})`);
    print(records[which]);
  }
  if (only === undefined) assert.deepStrictEqual(records.ours, records.builtin);
}

function print({ log, ...outside }) {
  console.log(JSON.stringify(outside));
  for (const [source, entries] of Object.entries(log)) {
    console.log(`  ${source}`);
    for (const values of entries)
      console.log(`    ${values.map((value) => JSON.stringify(value)).join(' ')}`);
  }
}

async function main([part, only]) {
  for (const entry of fs.readdirSync(DIRECTORY).filter((name) => name.endsWith('.js'))) {
    const file = path.join(DIRECTORY, entry);
    for (const name of Object.keys(require(file))) {
      if (`${path.basename(entry, '.js')}: ${name}`.includes(part)) await show(file, name, only);
    }
  }
}

main(process.argv.slice(2));
