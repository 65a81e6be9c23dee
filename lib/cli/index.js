'use strict';

/** The command `rust-cluster`, from its arguments to its exit code. */

const fs = require('fs');

const { CommanderError } = require('commander');

const { colours, wantsColour } = require('./colour');
const { EXIT, Failure } = require('./failure');
const { makeProgram } = require('./program');

module.exports = { main };

/** @param {string[]} argv the arguments behind the name of the command */
async function main(argv) {
  /** @type {import('./program').Actions} */
  const actions = {
    // Loaded when needed: only this one needs the cluster.
    start: (app, args, flags) => require('./start').start(app, args, flags),
    ...require('./remote'),
  };
  try {
    await makeProgram(actions, writeError).parseAsync(argv, { from: 'user' });
  } catch (error) {
    process.exitCode = report(error, argv);
  }
}

/** @param {unknown} error @param {string[]} argv @returns {number} the exit code */
function report(error, argv) {
  if (error instanceof CommanderError) {
    // It has said so itself; help and version are no failures.
    if (error.exitCode === 0) return EXIT.ok;
    const hint = hintFor(error, argv);
    if (hint) process.stderr.write(`${hint}\n`);
    return EXIT.usage;
  }
  if (!(error instanceof Failure)) throw error;
  writeError(`rust-cluster: ${error.message}\n`);
  if (error.hint) process.stderr.write(`${error.hint}\n`);
  return error.exitCode;
}

/** What is usually meant by such a mistake. @param {CommanderError} error @param {string[]} argv */
function hintFor(error, argv) {
  const [first, second] = argv;
  switch (error.code) {
    case 'commander.unknownCommand':
      if (fs.existsSync(first)) return `to start it: rust-cluster start ${argv.join(' ')}`;
      return 'all commands: rust-cluster --help';
    case 'commander.unknownOption':
      if (first === 'start' && second !== undefined && !second.startsWith('-')) {
        return `what is for ${second} itself stands behind --; all flags: rust-cluster start --help`;
      }
      return `all flags: rust-cluster ${first.startsWith('-') ? '' : `${first} `}--help`;
    case 'commander.excessArguments':
      // As with other process managers.
      return `to say which app: rust-cluster ${first} --name ${second}`;
    case 'commander.missingArgument':
      return `how it is used: rust-cluster ${first} --help`;
    default:
      return undefined;
  }
}

/** @param {string} text */
function writeError(text) {
  process.stderr.write(`${colours(wantsColour(process.stderr)).red(text.trimEnd())}\n`);
}
