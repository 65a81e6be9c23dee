'use strict';

// Directories that are gone when their test is over.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

module.exports = { temporary };

/** A temporary directory of the test's own. @param {import('node:test').TestContext} t */
function temporary(t) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}
