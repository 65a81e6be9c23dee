'use strict';

/** The options of the command itself: what is run, and what is printed. */

/** @typedef {import('./options').CliOption} CliOption */

/** @type {CliOption[]} */
const APP = [
  {
    key: 'script',
    kind: 'text',
    summary: 'the file to run, if the command line names none',
    isPath: true,
  },
  {
    key: 'args',
    kind: 'texts',
    summary: 'the arguments of the app, if there are none behind --',
  },
  {
    key: 'name',
    flags: '-n, --name <name>',
    kind: 'text',
    summary: 'what the other commands find the app by',
    shownDefault: 'made from its directory',
  },
  {
    key: 'cwd',
    flags: '--cwd <directory>',
    kind: 'text',
    summary: 'the working directory of the workers',
    shownDefault: 'the current one',
    isPath: true,
  },
  {
    key: 'env',
    flags: '-e, --env <NAME=value>',
    kind: 'variables',
    summary: 'an environment variable for the workers; may be repeated',
  },
  {
    key: 'nodeArgs',
    flags: '--node-args <args>',
    kind: 'texts',
    summary: 'arguments for node itself, with blanks between them',
  },
].map((option) => ({ ...option, group: 'App:' }));

/** @type {CliOption[]} */
const OUTPUT = [
  {
    key: 'config',
    flags: '-c, --config <file>',
    kind: 'text',
    summary: 'the config file',
    shownDefault: 'rust-cluster.config.{json,js,cjs,mjs}, if there',
    flagOnly: true,
  },
  {
    key: 'json',
    flags: '--json',
    kind: 'flag',
    summary: 'print JSON, an object on each line, instead of text',
    byDefault: false,
  },
  {
    key: 'time',
    flags: '--time',
    kind: 'flag',
    summary: 'print the time in front of each line',
    byDefault: false,
  },
  {
    key: 'systemd',
    flags: '--no-systemd',
    kind: 'flag',
    summary: 'use the sockets of systemd and notify it, where it is there',
    flagSummary: 'do not use the sockets of systemd, nor notify it',
    byDefault: true,
    goesTo: 'supervisor',
  },
].map((option) => ({ ...option, group: 'Command:' }));

module.exports = { APP, OUTPUT };
