'use strict';

// Makes what a worker runs of ours before its program: `dist/worker.js`; see lib/worker-code.js.

const path = require('node:path');

const esbuild = require('esbuild');

esbuild.buildSync({
  absWorkingDir: path.join(__dirname, '..'),
  entryPoints: ['lib/child.js'],
  outfile: 'dist/worker.js',
  bundle: true,
  platform: 'node',
  target: 'node20',
  external: ['./addon'],
  banner: {
    js: '// Made from lib/child.js by scripts/bundle.js.\n(function (exports, require, module, process) {',
  },
  footer: { js: '})' },
});
