'use strict';

/**
 * All benchmarks, as tables and in bench/results.json: `npm run bench`, and with options
 * `npm run bench -- --help`.
 */

const fs = require('node:fs');
const path = require('node:path');

const connections = require('./connections');
const { generator } = require('./lib/generator');
const { parse } = require('./lib/options');
const { announce, conclude, machine, runAll, select } = require('./lib/suite');
const messages = require('./messages');

const RESULTS = path.join(__dirname, 'results.json');

const DOES = `Measures rust-cluster and node:cluster side by side, in turns, and prints tables. What all of it gave
is written to bench/results.json, of which node bench/plot.js makes a picture.`;

run(parse('index.js', DOES));

/** @param {import('./lib/options').Options} options */
async function run(options) {
  const suites = {
    connections: connections.scenarios(options),
    messages: messages.scenarios(options),
  };
  const selected = select(Object.values(suites).flat(), options);
  const of = (/** @type {typeof selected} */ suite) =>
    selected.filter((each) => suite.includes(each));
  announce(options);
  const results = {
    date: new Date().toISOString().slice(0, 10),
    ...machine(options),
    rounds: options.rounds,
    quick: options.quick,
    generator,
    connections: await runAll(of(suites.connections), options),
    messages: await runAll(of(suites.messages), options),
  };
  conclude([...results.connections, ...results.messages]);
  if (options.only.length > 0) return;
  fs.writeFileSync(RESULTS, `${JSON.stringify(results, round, 2)}\n`);
  console.log(`Written to ${path.relative('', RESULTS)}.`);
}

/** More digits than these would be noise. */
function round(/** @type {string} */ _key, /** @type {unknown} */ value) {
  return typeof value === 'number' ? Number(value.toPrecision(5)) : value;
}
