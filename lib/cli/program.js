'use strict';

/** The command line: which subcommands and flags there are, and how their help reads. */

const { Command, InvalidArgumentError, Option } = require('commander');

const { version } = require('../../package.json');
const { KINDS } = require('./kinds');
const { OPTIONS } = require('./options');

module.exports = { makeProgram };

/**
 * @typedef {object} Actions
 * @property {(app: string | undefined, args: string[], flags: any) => Promise<void>} start
 * @property {(flags: any) => Promise<void>} reload
 * @property {(count: any, flags: any) => Promise<void>} scale
 * @property {(flags: any) => Promise<void>} stop
 * @property {(flags: any) => Promise<void>} status
 */

const EXIT_CODES = `
Exit codes:
  0  done; for start: the app was stopped
  1  it was tried and did not work
  2  the command line or the config file is wrong
  3  no such app is running
  4  an app of this name is running already`;

/** @param {Actions} actions @param {(text: string) => void} writeError */
function makeProgram(actions, writeError) {
  const program = new Command('rust-cluster')
    .description('Runs a Node server on all CPUs, and restarts it without dropping a request.')
    .version(version, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help, or that of a command')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .configureOutput({
      outputError: (text) => writeError(text.replace(/^error: /, 'rust-cluster: ')),
    })
    .addHelpText('after', EXAMPLES.all + EXIT_CODES);
  addStart(program, actions);
  addOthers(program, actions);
  return program;
}

/** @param {Command} program @param {Actions} actions */
function addStart(program, actions) {
  const start = command(program, 'start')
    .summary('run an app in the foreground')
    .description(
      'Runs an app in the foreground, as it is, on several processes that share its ports. ' +
        'What stands behind -- is for the app.',
    )
    .argument('[app]', 'the file to run, CommonJS or ES module; else `script` of the config file')
    .argument('[args...]', 'its arguments, behind --')
    .addHelpText('after', EXAMPLES.start);
  for (const option of OPTIONS) if (option.flags) start.addOption(toFlag(option));
  start.action((app, args) => actions.start(app, args, given(start)));
}

/** The flags that stand on the command line. @param {Command} subcommand */
function given(subcommand) {
  const isGiven = (/** @type {string} */ key) => subcommand.getOptionValueSource(key) === 'cli';
  const flags = Object.entries(subcommand.opts()).filter(([key]) => isGiven(key));
  return Object.fromEntries(flags);
}

/** @param {Command} program @param {Actions} actions */
function addOthers(program, actions) {
  const reload = withTarget(command(program, 'reload'))
    .summary('replace the workers one by one, without dropping a request')
    .description('Replaces all workers, each when its successor is ready; no request is dropped.')
    .addHelpText('after', EXAMPLES.reload);
  reload.option('--parallel <count>', 'how many at a time', reader('positive'));
  reload.action(() => actions.reload(reload.opts()));

  const scale = withTarget(command(program, 'scale'))
    .summary('run more workers, or fewer')
    .description('Starts or drains workers until there are that many.')
    .argument('<count>', `how many: ${KINDS.workers.allowed}`, reader('workers'))
    .addHelpText('after', EXAMPLES.scale);
  scale.action((count) => actions.scale(count, scale.opts()));

  const stop = withTarget(command(program, 'stop'))
    .summary('let the requests end, and stop the app')
    .description('Lets all requests end, then stops the app; returns when it is gone.')
    .addHelpText('after', EXAMPLES.stop);
  stop.option('--now', 'kill the workers, with what they are doing');
  stop.action(() => actions.stop(stop.opts()));

  const status = withTarget(command(program, 'status'))
    .summary('show the workers of a running app')
    .description('Shows the workers of a running app.')
    .addHelpText('after', EXAMPLES.status);
  status.action(() => actions.status(status.opts()));
}

/** @param {Command} program @param {string} name */
function command(program, name) {
  return program.command(name).helpOption('-h, --help', 'print this help');
}

/** @param {Command} subcommand one that speaks to a running app */
function withTarget(subcommand) {
  return subcommand
    .option('-n, --name <name>', 'the app of that name, instead of the one of this directory')
    .option('-c, --config <file>', 'the config file in which the name stands')
    .option('--json', 'print JSON, for programs');
}

/** @param {import('./options').CliOption} option */
function toFlag(option) {
  const { flags, kind, summary, flagSummary = summary, group } = option;
  const text = `${flagSummary}${defaultOf(option)}`;
  const flag = new Option(/** @type {string} */ (flags), text).helpGroup(group);
  if (kind === 'flag') return flag;
  const read = reader(kind);
  if (kind !== 'variables') return flag.argParser(read);
  return flag.argParser((text, before) => ({ .../** @type {any} */ (before), ...read(text) }));
}

/** What is off by default says so itself. @param {import('./options').CliOption} option */
function defaultOf({ kind, byDefault, shownDefault }) {
  if (shownDefault !== undefined) return ` (default: ${shownDefault})`;
  if (byDefault === undefined || byDefault === 0 || kind === 'flag') return '';
  const isLong = kind === 'duration' && Number(byDefault) >= 1000;
  const unit = kind === 'duration' ? (isLong ? 's' : 'ms') : '';
  return ` (default: ${isLong ? Number(byDefault) / 1000 : byDefault}${unit})`;
}

/** @param {string} kind @returns {(text: string) => any} */
function reader(kind) {
  const { fromText, read, allowed, allowedAsText = allowed } = KINDS[kind];
  return (text) => {
    const value = read(fromText(text));
    if (value === undefined) throw new InvalidArgumentError(`It must be ${allowedAsText}.`);
    return value;
  };
}

const EXAMPLES = {
  all: `
Examples:
  $ rust-cluster start server.js                   on every CPU
  $ rust-cluster start server.mjs -i 4 -- --port 8080
  $ rust-cluster reload                            from another terminal, same directory
  $ rust-cluster status
`,
  start: `
Examples:
  $ rust-cluster start server.js                   a worker for each CPU
  $ rust-cluster start server.js -i -1             one CPU is left for others
  $ rust-cluster start server.js --name shop --max-memory 500M --hang-timeout 30s
  $ rust-cluster start server.js --node-args="--enable-source-maps" -- --port 8080
  $ rust-cluster start                             all of it from rust-cluster.config.json

Signals: SIGTERM and SIGINT (Ctrl-C) let requests end and stop, a second one stops at once;
SIGHUP and SIGUSR2 reload.`,
  reload: `
Examples:
  $ rust-cluster reload
  $ rust-cluster reload --name shop && echo the new version is up`,
  scale: `
Examples:
  $ rust-cluster scale 8
  $ rust-cluster scale auto --name shop`,
  stop: `
Examples:
  $ rust-cluster stop
  $ rust-cluster stop --name shop`,
  status: `
Examples:
  $ rust-cluster status
  $ rust-cluster status --name shop --json`,
};
