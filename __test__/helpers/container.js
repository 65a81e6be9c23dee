'use strict';

// Runs a program as process 1, as containers do, without any container: in a namespace of its own.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');

const UNSHARE = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];

/** The `command` of a program that shall be process 1. */
const AS_INIT = [...UNSHARE, process.execPath];

module.exports = { AS_INIT, initOf, withoutNamespaces };

/** Why nothing can be process 1 here, or false. */
function withoutNamespaces() {
  const [command, ...args] = [...UNSHARE, 'true'];
  const { status } = spawnSync(command, args);
  return status === 0 ? false : 'process namespaces need root, and unshare of util-linux';
}

/** The id that process 1 has outside: that of the only child of what has made the namespace. */
function initOf({ pid }) {
  return Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
}
