'use strict';

// Makes `dist/preload.js`, the one file with all that a worker loads of ours before its program
// runs. A worker that reads a dozen files instead listens some milliseconds later.

const path = require('node:path');

const esbuild = require('esbuild');

const root = path.join(__dirname, '..');

esbuild.buildSync({
  absWorkingDir: root,
  entryPoints: ['lib/preload.js'],
  outfile: 'dist/preload.js',
  bundle: true,
  platform: 'node',
  target: 'node20',
  // Generated as well; from `dist/` it is where it is from `lib/`.
  external: ['../native'],
  banner: { js: '// Made from lib/preload.js by scripts/bundle.js.' },
});
