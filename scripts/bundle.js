'use strict';

// Makes what a worker loads of ours before its program: `dist/preload.js`, and `dist/worker.js` with
// all the rest; see lib/worker-code.js.

const path = require('node:path');

const esbuild = require('esbuild');

const root = path.join(__dirname, '..');

bundle('lib/preload.js', 'dist/preload.js', ['../native']);
bundle('lib/child.js', 'dist/worker.js', ['./addon']);

/**
 * @param {string} from
 * @param {string} to
 * @param {string[]} external what is loaded from where it is
 */
function bundle(from, to, external) {
  esbuild.buildSync({
    absWorkingDir: root,
    entryPoints: [from],
    outfile: to,
    bundle: true,
    platform: 'node',
    target: 'node20',
    external,
    banner: { js: `// Made from ${from} by scripts/bundle.js.` },
  });
}
