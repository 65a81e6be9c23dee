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

/** @typedef {{ list: string[], link: string }} Place what is found in a list's folder is this package */

const root = path.join(__dirname, '..');
const INDEX = path.join(root, 'index.js');

/** As `package.json` has them. `drain` is not here: it does something, once for each copy of it. */
const files = {
  'rust-cluster': INDEX,
  'rust-cluster/register': path.join(root, 'register.js'),
};

/** More than a program has folders in which it asks for us, mostly. */
const MAX_PLACES = 8;

/** With these a worker finds other files than this process. */
const OTHER_RULES = /--preserve-symlinks|--conditions|-C\b/;

/** The last worker's. */
let last = { exec: '', cwd: '', places: /** @type {Place[]} */ ([]) };

/**
 * @param {string} exec the program of a worker
 * @param {unknown} cwd the folder in which it runs, as a program gives it; default: that of this process
 * @param {string[]} execArgv
 * @param {Record<string, unknown>} env
 * @returns {Resolutions | undefined}
 */
function resolutions(exec, cwd, execArgv, env) {
  const options = [...execArgv, String(env.NODE_OPTIONS ?? '')];
  if (env.NODE_PRESERVE_SYMLINKS || options.some((each) => OTHER_RULES.test(each)))
    return undefined;
  return attempt(() => {
    const folder = path.resolve(/** @type {string} */ (cwd ?? ''));
    if (exec !== last.exec || folder !== last.cwd) {
      last = { exec, cwd: folder, places: placesFor(exec, folder) };
    }
    // The package may have been replaced meanwhile.
    const places = last.places.filter(({ link }) => isHere(link));
    return places.length > 0 ? { files, searched: places.map(({ list }) => list) } : undefined;
  });
}

/**
 * From the worker's program, from where a `--require` is resolved, and from the modules that have
 * asked for us here.
 * @param {string} exec @param {string} cwd
 */
function placesFor(exec, cwd) {
  const program = attempt(() => path.dirname(fs.realpathSync.native(path.resolve(cwd, exec))));
  const own = require.cache[INDEX];
  const askers = Object.values(require.cache).filter(
    (each) => own && each?.children?.includes(own),
  );
  const folders = new Set([
    program,
    cwd,
    ...askers.map((each) => path.dirname(each?.filename ?? '')),
  ]);
  /** @type {Place[]} */
  const places = [];
  for (const folder of [...folders].slice(0, MAX_PLACES)) {
    const place = folder && attempt(() => placeFrom(folder));
    if (place) places.push(place);
  }
  return places;
}

/** None if what would be found is not this package. @param {string} folder @returns {Place | undefined} */
function placeFrom(folder) {
  const list = createRequire(path.join(folder, 'any.js')).resolve.paths('rust-cluster') ?? [];
  const links = list.map((each) => path.join(each, 'rust-cluster'));
  const link = links.find((each) => fs.existsSync(each));
  return link !== undefined && isHere(link) ? { list, link } : undefined;
}

/** @param {string} link */
function isHere(link) {
  return attempt(() => fs.realpathSync.native(link)) === root;
}

/** @template T @param {() => T} act @returns {T | undefined} */
function attempt(act) {
  try {
    return act();
  } catch {
    return undefined;
  }
}
