'use strict';

/** The config file: where it is, and what is wrong with what stands in it. */

const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');

const { closest } = require('./closest');
const { EXIT, Failure } = require('./failure');
const { KINDS, show } = require('./kinds');
const { OPTIONS } = require('./options');

module.exports = { loadConfig };

const FILES = ['json', 'js', 'cjs', 'mjs'].map((ending) => `rust-cluster.config.${ending}`);

/** Not an option, but allowed: it tells an editor what the others are. */
const SCHEMA_KEY = '$schema';

/**
 * @param {string | undefined} given the file that was asked for
 * @param {string} cwd where to look for one otherwise
 * @returns {Promise<{ file?: string, values: Record<string, any> }>}
 */
async function loadConfig(given, cwd) {
  const file = given === undefined ? findFile(cwd) : path.resolve(cwd, given);
  if (file === undefined) return { values: {} };
  if (!fs.existsSync(file)) throw new Failure(EXIT.usage, `there is no config file ${given}`);
  const config = file.endsWith('.json') ? readJson(file) : await evaluate(file);
  return { file, values: resolvePaths(check(config, file), path.dirname(file)) };
}

/** @param {string} cwd */
function findFile(cwd) {
  const found = FILES.filter((name) => fs.existsSync(path.join(cwd, name)));
  if (found.length <= 1) return found.length === 0 ? undefined : path.join(cwd, found[0]);
  const hint = 'keep one, or choose it with --config';
  throw new Failure(EXIT.usage, `there are several config files: ${found.join(', ')}`, hint);
}

/** @param {string} file */
function readJson(file) {
  const text = fs.readFileSync(file, 'utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    const { message } = /** @type {Error} */ (error);
    throw new Failure(EXIT.usage, `${shorten(file)} is not JSON: ${message}`);
  }
}

/** @param {string} file a CommonJS or ES module, as Node would tell */
async function evaluate(file) {
  let module;
  try {
    module = await import(pathToFileURL(file).href);
  } catch (error) {
    const { stack = String(error) } = /** @type {Error} */ (error);
    throw new Failure(EXIT.usage, `${shorten(file)} could not be loaded: ${stack}`);
  }
  if ('default' in module) return module.default;
  const hint = 'end it with "export default { … }" or "module.exports = { … }"';
  throw new Failure(EXIT.usage, `${shorten(file)} has no default export`, hint);
}

/** @param {unknown} config @param {string} file */
function check(config, file) {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new Failure(EXIT.usage, `${shorten(file)} must hold an object; it holds ${show(config)}`);
  }
  /** @type {Record<string, any>} */
  const values = {};
  const mistakes = [];
  for (const [key, value] of Object.entries(config)) {
    // As everywhere in JavaScript: not given.
    if (key === SCHEMA_KEY || value === undefined) continue;
    const option = OPTIONS.find((each) => each.key === key && !each.flagOnly);
    if (!option) {
      mistakes.push(`'${key}': there is no such key${suggestion(key)}`);
      continue;
    }
    const { read, allowed } = KINDS[option.kind];
    const meant = read(value);
    if (meant !== undefined) values[key] = meant;
    else mistakes.push(`'${key}': must be ${allowed}; it is ${show(value)}`);
  }
  if (mistakes.length === 0) return values;
  const lines = [`${shorten(file)} is not right:`, ...mistakes.map((each) => `  ${each}`)];
  throw new Failure(EXIT.usage, lines.join('\n'));
}

/** @param {string} key */
function suggestion(key) {
  const keys = OPTIONS.filter(({ flagOnly }) => !flagOnly).map((option) => option.key);
  const near = closest(key, keys);
  return near ? `; did you mean '${near}'?` : `; there are ${keys.sort().join(', ')}`;
}

/**
 * A path in a config file is meant from where the file is.
 * @param {Record<string, any>} values
 * @param {string} directory
 */
function resolvePaths(values, directory) {
  const resolved = { ...values };
  for (const { key, isPath } of OPTIONS) {
    if (isPath && key in values) resolved[key] = path.resolve(directory, values[key]);
  }
  return resolved;
}

/** @param {string} file */
function shorten(file) {
  const relative = path.relative(process.cwd(), file);
  return relative.startsWith('..') ? file : relative;
}
