'use strict';

/** The native addon. In a worker it is `preload.js` that loads it, from the file named here. */

const addon = require('../native');

/** Where it is; `undefined` if that cannot be told. */
const addonFile = Object.keys(require.cache).find(
  (file) => file.endsWith('.node') && require.cache[file]?.exports === addon,
);

module.exports = { addon, addonFile };
