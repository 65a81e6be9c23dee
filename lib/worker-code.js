'use strict';

/**
 * All that a worker runs of ours before its program, as one script: `dist/worker.js`, which
 * `scripts/bundle.js` makes of `child.js`. To find, read and compile a dozen files would take longer
 * than all else that we do there.
 *
 * The primary gives the script to its workers together with what V8 has compiled of it
 * (https://nodejs.org/api/vm.html#scriptcreatecacheddata), once it had the time to.
 */

const path = require('path');
const vm = require('vm');

module.exports = { load, prepare };

/** From `lib/`, and from `dist/`, where this is a part of `preload.js`. */
const FILE = path.join(__dirname, '../dist/worker.js');

/**
 * In a worker: the exports of `child.js`.
 * @param {import('../native').WorkerCode | null} code what the primary has prepared
 * @returns {typeof import('./child')}
 */
function load(code) {
  // The cache does not fit where the worker has other options for V8. It is left aside then.
  return evaluate(compile(code?.source ?? read(), code?.cache));
}

/** In the primary. The modules are evaluated, because V8 compiles what runs. */
function prepare() {
  const source = read();
  const script = compile(source);
  evaluate(script);
  return { source, cache: script.createCachedData() };
}

function read() {
  // Loaded only here: each module costs a worker time.
  const source = require('fs').readFileSync(FILE, 'utf8');
  return `(function (exports, require, module) {${source}\n})`;
}

/** @param {string} source @param {Buffer} [cachedData] */
function compile(source, cachedData) {
  return new vm.Script(source, { filename: FILE, cachedData });
}

/** @param {vm.Script} script */
function evaluate(script) {
  const module = { exports: /** @type {any} */ ({}) };
  // There is one of it in a process, and it is in here, or beside this file.
  const resolve = (/** @type {string} */ id) =>
    id === './addon' ? require('./addon') : require(id);
  script.runInThisContext()(module.exports, resolve, module);
  return module.exports;
}
