'use strict';

/** The native addon. To find its file takes longer than to load it, so a worker is told. */

const { ADDON_VARIABLE } = require('./environment');

/** @type {typeof import('../native')} */
const addon = load();

function load() {
  const file = process.env[ADDON_VARIABLE];
  if (file === undefined) return require('../native');
  const module = { exports: /** @type {any} */ ({}) };
  process.dlopen(module, file);
  return module.exports;
}

/** Where it is; `undefined` if that cannot be told. */
const addonFile = Object.keys(require.cache).find(
  (file) => file.endsWith('.node') && require.cache[file]?.exports === addon,
);

module.exports = { addon, addonFile };
