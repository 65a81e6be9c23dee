'use strict';

// Runs when the package is installed. Where a binary for this platform came with it or with its
// platform package, there is nothing to do; elsewhere it is built, if this is Linux with Cargo.
// It is no reason for an installation to fail, because without a binary the package is
// `node:cluster`; RUST_CLUSTER_REQUIRE_NATIVE=1 makes it one.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');
const loader = path.join(root, 'native.js');

/** @typedef {{ message: string, cause?: LoadError | null }} LoadError */

main();

function main() {
  // In a clone `prepare` runs after this and builds; the loader is written by that build.
  if (!fs.existsSync(loader) || fs.existsSync(path.join(root, '.git'))) return;

  let problem = whyNotLoaded();
  if (problem === undefined) return;
  if (process.platform === 'linux' && hasCargo()) {
    say(`${problem}, so it is built from source now, which takes a minute.`);
    problem = build() ?? whyNotLoaded();
    if (problem === undefined) return;
  }
  say(`${problem}; it will fall back to node:cluster.`);
  if (process.env.RUST_CLUSTER_REQUIRE_NATIVE === '1') process.exitCode = 1;
}

/** Tries to load the addon. What stands in its way, or undefined. */
function whyNotLoaded() {
  try {
    require(loader);
    return undefined;
  } catch (error) {
    // The loader tries one place after the other and chains what each attempt said. That a file is
    // not there is no news; anything else is the reason.
    for (let e = /** @type {LoadError} */ (error).cause; e; e = e.cause) {
      if (!e.message.startsWith('Cannot find module')) {
        return `the binary for ${platform()} cannot be loaded (${firstLine(e.message)})`;
      }
    }
    return `there is no binary for ${platform()}`;
  }
}

function hasCargo() {
  return spawnSync('cargo', ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Builds the addon and puts it beside the loader. What went wrong, or undefined. */
function build() {
  // Cargo itself says where its target directory is, which the user's settings may move.
  const args = ['build', '--release', '--locked', '--message-format=json-render-diagnostics'];
  const env = { ...process.env };
  // A library that Node can open must not contain a second libc.
  if (isMusl()) env.RUSTFLAGS = `${env.RUSTFLAGS ?? ''} -C target-feature=-crt-static`;
  const cargo = spawnSync('cargo', args, {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: Infinity,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const library = cargo.stdout.split('\n').reduce(builtLibrary, undefined);
  if (cargo.status !== 0 || library === undefined) return 'cargo build failed (see above)';

  const binary = path.join(root, `rust-cluster.${platform()}.node`);
  // Renamed into place, as another process may have the old file mapped.
  fs.copyFileSync(library, `${binary}.new`);
  fs.renameSync(`${binary}.new`, binary);
  fs.rmSync(path.join(root, 'target'), { recursive: true, force: true });
  return undefined;
}

/**
 * The path of the shared library, if this line of Cargo's output tells it.
 *
 * @param {string | undefined} found
 * @param {string} line
 * @returns {string | undefined}
 */
function builtLibrary(found, line) {
  if (!line.startsWith('{')) return found;
  const { reason, target, filenames } = JSON.parse(line);
  if (reason !== 'compiler-artifact' || target.name !== 'rust_cluster') return found;
  return filenames.find((/** @type {string} */ name) => name.endsWith('.so')) ?? found;
}

/** This platform's name in the names of binaries, as napi-rs makes them. */
function platform() {
  const { platform: system, arch } = process;
  if (system !== 'linux') return `${system}-${arch}`;
  return `${system}-${arch}-${isMusl() ? 'musl' : 'gnu'}${arch === 'arm' ? 'eabihf' : ''}`;
}

function isMusl() {
  if (process.platform !== 'linux') return false;
  const settings = /** @type {{ excludeNetwork?: boolean }} */ (process.report);
  settings.excludeNetwork = true;
  const report = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (
    process.report.getReport()
  );
  return report.header.glibcVersionRuntime === undefined;
}

/** @param {string} text */
function firstLine(text) {
  return text.split('\n', 1)[0];
}

/** @param {string} sentence */
function say(sentence) {
  process.stderr.write(`rust-cluster: ${sentence}\n`);
}
