'use strict';

/**
 * Where a worker will look for this package by its name, and what it will find there. Node takes
 * 2 ms for the first package whose `package.json` has `exports`, as much as all else that a worker
 * does more than the builtin's; so its primary, which has been there, tells it.
 */

const fs = require('fs');
const { createRequire } = require('module');
const path = require('path');

module.exports = { resolutions };

/**
 * @typedef {object} Resolution
 * @property {string} name what is asked for
 * @property {string[]} paths the folders in which it is looked for
 * @property {string} file
 */

const NAMES = ['rust-cluster', 'rust-cluster/register', 'rust-cluster/drain'];

const root = path.join(__dirname, '..');

/** @param {import('cluster').ClusterSettings} settings @returns {Resolution[]} */
function resolutions(settings) {
  const found = [];
  for (const folder of folders(settings)) {
    const { resolve } = createRequire(path.join(folder, 'any.js'));
    for (const name of NAMES) {
      const file = attempt(() => resolve(name));
      const paths = resolve.paths(name);
      if (file?.startsWith(`${root}/`) && paths) found.push({ name, paths, file });
    }
  }
  return found;
}

/**
 * Of the modules that have asked for us here, of the workers' program, and that from which a
 * `--require` is resolved.
 * @param {import('cluster').ClusterSettings} settings
 */
function folders({ exec, cwd = process.cwd() }) {
  const own = require.cache[path.join(root, 'index.js')];
  const askers = Object.values(require.cache).filter((each) => own && each?.children.includes(own));
  const program = attempt(() => fs.realpathSync(path.resolve(cwd, String(exec))));
  const files = [...askers.map((each) => each?.filename), program, path.join(cwd, 'any.js')];
  return new Set(files.filter((file) => file !== undefined).map((file) => path.dirname(file)));
}

/** @template T @param {() => T} act @returns {T | undefined} */
function attempt(act) {
  try {
    return act();
  } catch {
    return undefined;
  }
}
