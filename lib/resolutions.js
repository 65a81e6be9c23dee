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
 * @typedef {object} Resolutions
 * @property {Record<string, string>} files by what is asked for
 * @property {string[][]} searched the lists of folders in which Node would look and find them
 */

const root = path.join(__dirname, '..');
const INDEX = path.join(root, 'index.js');

/** As `package.json` has them. */
const files = {
  'rust-cluster': INDEX,
  'rust-cluster/register': path.join(root, 'register.js'),
  'rust-cluster/drain': path.join(root, 'lib/drain/enable.js'),
};

/** The last worker's. */
let last = { exec: '', cwd: '', searched: /** @type {string[][]} */ ([]) };

/**
 * @param {string} exec the program of a worker
 * @param {unknown} cwd the folder in which it runs, as a program gives it; default: that of this process
 * @returns {Resolutions | undefined}
 */
function resolutions(exec, cwd) {
  cwd ??= attempt(() => process.cwd());
  if (typeof cwd !== 'string') return undefined;
  if (exec !== last.exec || cwd !== last.cwd) last = { exec, cwd, searched: searched(exec, cwd) };
  // The package may have been replaced meanwhile.
  return last.searched.length > 0 && fs.existsSync(INDEX)
    ? { files, searched: last.searched }
    : undefined;
}

/**
 * From the modules that have asked for us here, from the worker's program, and from where a
 * `--require` is resolved.
 * @param {string} exec @param {string} cwd
 */
function searched(exec, cwd) {
  const own = require.cache[INDEX];
  const askers = Object.values(require.cache).filter(
    (each) => own && each?.children?.includes(own),
  );
  const program = attempt(() => fs.realpathSync.native(path.resolve(cwd, exec)));
  const from = [...askers.map((each) => each?.filename), program, path.join(cwd, 'any.js')];
  const folders = new Set(from.map((file) => file && path.dirname(file)));
  return [...folders].flatMap((folder) => (folder ? listFrom(folder) : []));
}

/** None if what would be found is not this package. @param {string} folder */
function listFrom(folder) {
  const list = createRequire(path.join(folder, 'any.js')).resolve.paths('rust-cluster') ?? [];
  for (const each of list) {
    const found = attempt(() => fs.realpathSync.native(path.join(each, 'rust-cluster')));
    if (found !== undefined) return found === root ? [list] : [];
  }
  return [];
}

/** @template T @param {() => T} act @returns {T | undefined} */
function attempt(act) {
  try {
    return act();
  } catch {
    return undefined;
  }
}
