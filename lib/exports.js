'use strict';

/**
 * Keeps ES modules' named imports of the cluster live: properties that change in the course of a
 * program (`settings`) are announced here.
 */

const { syncBuiltinESMExports } = require('module');

module.exports = { announce, onChange };

/** @type {(() => void)[]} */
const listeners = [];

function announce() {
  syncBuiltinESMExports();
  for (const listener of listeners) listener();
}

/** @param {() => void} listener */
function onChange(listener) {
  listeners.push(listener);
}
