'use strict';

/** What the benchmarks take on their command line. */

const { parseArgs } = require('node:util');

const OPTIONS = /** @type {const} */ ({
  quick: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  node: { type: 'string', default: process.execPath },
  only: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
});

const QUICK_ROUNDS = 2;
const ROUNDS = 5;

/**
 * @typedef {object} Options
 * @property {boolean} quick a fifth of the time, for a first look
 * @property {number} rounds in each of them the sides are started anew and measured in turns
 * @property {string} node the program that runs what is measured
 * @property {string[]} only parts of the names of scenarios; none for all
 */

/**
 * Parses the command line; `--help` and mistakes end the process.
 * @param {string} script its name, for the usage
 * @param {string} does one sentence
 * @returns {Options}
 */
function parse(script, does) {
  const usage = `Usage: node bench/${script} [options]

${does}

  --quick       short measurements in ${QUICK_ROUNDS} rounds: a first look, not a result
  --rounds N    in each the sides are started anew and measured in turns (default ${ROUNDS})
  --node PATH   the Node that runs what is measured (default: this one)
  --only NAMES  scenarios whose name contains one of these, separated by commas
  -h, --help    show this
`;
  try {
    const { values } = parseArgs({ options: OPTIONS });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(0);
    }
    const rounds = Number(values.rounds ?? (values.quick ? QUICK_ROUNDS : ROUNDS));
    if (!Number.isInteger(rounds) || rounds < 1) {
      throw new Error(`--rounds must be a whole number from 1 on, not '${values.rounds}'`);
    }
    const only = values.only === undefined ? [] : values.only.split(',');
    return { quick: values.quick, rounds, node: values.node, only };
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n\n${usage}`);
    process.exit(2);
  }
}

module.exports = { parse };
