'use strict';

const cluster = require('cluster');

// A worker of ours was adopted before any other code ran. It reads no more than this.
module.exports =
  /** @type {any} */ (cluster).native === undefined ? require('./lib/load') : cluster;
