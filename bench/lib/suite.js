'use strict';

/** Runs scenarios one after the other and shows what they gave. */

const os = require('node:os');
const { spawnSync } = require('node:child_process');

const { loadAverage } = require('./cpu');
const { print, rows } = require('./report');
const { alternate } = require('./rounds');

/** @typedef {import('./options').Options} Options */
/** @typedef {import('./report').Line} Line */
/** @typedef {import('./report').Row} Row */

/**
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string} title
 * @property {string[]} variants the first is what the others are compared with
 * @property {number} [starts] how often they are started in a round; 1 by default
 * @property {number} turns how often each is measured after each start
 * @property {(variant: string) => Promise<import('./rounds').Session>} open
 * @property {Line[]} lines which figures are shown, with their goals
 */

/** @typedef {{ name: string, title: string, load: number, rows: Row[] }} Result */

/**
 * Runs a script of its own.
 * @param {(options: Options) => Scenario[]} scenarios
 * @param {Options} options
 */
async function main(scenarios, options) {
  const selected = select(scenarios(options), options);
  announce(options);
  conclude(await runAll(selected, options));
}

/**
 * Those that were asked for. To ask for what there is not ends the process.
 * @param {Scenario[]} scenarios
 * @param {Options} options
 */
function select(scenarios, { only }) {
  const names = scenarios.map(({ name }) => name);
  const unknown = only.find((part) => !names.some((name) => name.includes(part)));
  if (unknown !== undefined) {
    process.stderr.write(`--only: no scenario is called '${unknown}'. There are:\n`);
    process.stderr.write(names.map((name) => `  ${name}\n`).join(''));
    process.exit(2);
  }
  const wanted = (/** @type {string} */ name) => only.some((part) => name.includes(part));
  return only.length === 0 ? scenarios : scenarios.filter(({ name }) => wanted(name));
}

/** @param {Options} options */
function announce(options) {
  const { cpu, cores, node } = machine(options);
  console.log(`Node ${node}, ${cores} cores (${cpu}), ${options.rounds} rounds, medians`);
}

/** @param {Options} options */
function machine(options) {
  const [{ model }] = os.cpus();
  const node = spawnSync(options.node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  return { node: node.slice(1), cpu: model, cores: os.cpus().length };
}

/**
 * @param {Scenario[]} scenarios
 * @param {Options} options
 */
async function runAll(scenarios, { rounds }) {
  /** @type {Result[]} */
  const results = [];
  for (const { name, title, lines, ...scenario } of scenarios) {
    const samples = await alternate({ ...scenario, label: name, rounds });
    const load = loadAverage();
    const result = { name, title, load, rows: rows(lines, samples) };
    print(`${title}   [${name}, load average ${load}]`, result.rows);
    results.push(result);
  }
  return results;
}

/** @param {Result[]} results */
function conclude(results) {
  const all = results.flatMap((result) => result.rows).filter((row) => row.goal);
  const missed = all.filter((row) => !row.met);
  console.log(`\n${all.length - missed.length} of ${all.length} goals met.`);
}

module.exports = { announce, conclude, machine, main, runAll, select };
