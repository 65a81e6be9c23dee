'use strict';

/** What is to be run and how: from the command line first, then from the config file. */

const fs = require('fs');
const path = require('path');

const { closest } = require('./closest');
const { loadConfig } = require('./config');
const { checkName, defaultName, homeOf } = require('./control/place');
const { EXIT, Failure } = require('./failure');
const { OPTIONS } = require('./options');

module.exports = { plan };

/**
 * @typedef {object} Plan
 * @property {string} name
 * @property {string} script an absolute path
 * @property {string} home the directory that the app belongs to
 * @property {string[]} args
 * @property {string[]} [nodeArgs]
 * @property {string} [cwd]
 * @property {Record<string, string>} env
 * @property {boolean} [json]
 * @property {boolean} [time]
 * @property {Record<string, any>} options for `cluster.supervise()`
 * @property {Record<string, any>} clusterSettings for `cluster.setupPrimary()`
 */

/**
 * @param {string | undefined} app
 * @param {string[]} args
 * @param {Record<string, any>} flags those that were given
 * @returns {Promise<Plan>}
 */
async function plan(app, args, flags) {
  const { file, values: config } = await loadConfig(flags.config, process.cwd());
  const values = { ...config, ...flags };
  // Two ways to say one thing: the command line's counts.
  if (flags.readyOn) delete values.waitReady;
  const script = resolveScript(app ?? config.script, file);
  const home = homeOf(fs.realpathSync(script));
  return {
    name: values.name === undefined ? defaultName(home) : checkName(values.name),
    script,
    home,
    args: args.length > 0 ? args : (config.args ?? []),
    nodeArgs: values.nodeArgs,
    cwd: values.cwd === undefined ? undefined : resolveDirectory(values.cwd),
    env: texts({ ...config.env, ...flags.env }),
    json: values.json,
    time: values.time,
    options: pick(values, 'supervisor'),
    clusterSettings: pick(values, 'cluster'),
  };
}

/**
 * As `node FILE` finds it: the ending may be left out, and a directory has its main file.
 * @param {string | undefined} app
 * @param {string | undefined} configFile
 */
function resolveScript(app, configFile) {
  if (app === undefined) {
    const where = configFile ? `, and ${path.basename(configFile)} has no 'script'` : '';
    throw new Failure(
      EXIT.usage,
      `which app? The command line names none${where}`,
      'for example: rust-cluster start server.js',
    );
  }
  const file = path.resolve(app);
  try {
    return require.resolve(file);
  } catch {
    const directory = path.dirname(file);
    const others = fs.existsSync(directory) ? fs.readdirSync(directory) : [];
    const near = closest(path.basename(file), others);
    const hint = near && `did you mean ${path.join(path.dirname(app), near)}?`;
    throw new Failure(EXIT.usage, `there is no file ${app} to start`, hint);
  }
}

/** @param {string} directory */
function resolveDirectory(directory) {
  const resolved = path.resolve(directory);
  if (fs.statSync(resolved, { throwIfNoEntry: false })?.isDirectory()) return resolved;
  throw new Failure(EXIT.usage, `cwd: there is no directory ${directory}`);
}

/** @param {Record<string, any>} env */
function texts(env) {
  return Object.fromEntries(Object.entries(env).map(([key, value]) => [key, String(value)]));
}

/** @param {Record<string, any>} values @param {string} target */
function pick(values, target) {
  const keys = OPTIONS.filter(({ goesTo }) => goesTo === target).map(({ key }) => key);
  return Object.fromEntries(keys.filter((key) => key in values).map((key) => [key, values[key]]));
}
