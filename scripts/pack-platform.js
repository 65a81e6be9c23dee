'use strict';

// Makes the tarball of this platform's own package (`rust-cluster-linux-x64-gnu` and so on) from
// the binary that `npm run build` left in the root, in the directory given or in npm/. Prints its
// path.
//
// A release makes one on each platform of `napi.targets` in package.json and publishes them first.
// Then `napi pre-publish --tag-style npm --skip-optional-publish` writes them as
// `optionalDependencies` into package.json, and the main package is published without a binary.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');
const PREFIX = 'rust-cluster.';
const SUFFIX = '.node';

const binaries = fs
  .readdirSync(root)
  .filter((name) => name.startsWith(PREFIX) && name.endsWith(SUFFIX));
if (binaries.length === 0) throw new Error('There is no binary to pack: `npm run build` makes it');

const packages = path.join(root, 'npm');
const destination = path.resolve(process.argv[2] ?? packages);
run('napi', ['create-npm-dirs'], root);
for (const binary of binaries) {
  const platform = binary.slice(PREFIX.length, -SUFFIX.length);
  const directory = path.join(packages, platform);
  fs.copyFileSync(path.join(root, binary), path.join(directory, binary));
  fs.copyFileSync(path.join(root, 'LICENSE'), path.join(directory, 'LICENSE'));
  const [{ filename }] = JSON.parse(
    run('npm', ['pack', '--json', '--pack-destination', destination], directory),
  );
  console.log(path.join(destination, filename));
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 */
function run(command, args, cwd) {
  const bin = path.join(root, 'node_modules', '.bin');
  const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` };
  return execFileSync(command, args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 2] });
}
