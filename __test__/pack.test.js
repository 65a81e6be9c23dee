'use strict';

// The package as its users get it: packed, installed in an empty directory beside Express, and run
// there with nothing of this clone at hand.

const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { start } = require('./helpers/program');

const root = path.join(__dirname, '..');
const programs = path.join(__dirname, 'fixtures', 'installed');
const { devDependencies } = require('../package.json');
const EXPRESS = `express@${devDependencies.express}`;
const BINARY = /^rust-cluster\.[\w-]+\.node$/;
const FALLS_BACK =
  /^\(node:\d+\) (?:\[\w+\] )?\w*Warning: .*node:cluster.*\n(?:\(Use `node .*\n)?$/;

/** Removed at the end, with all that the tests make. */
let temp;
/** Tarballs: the package, the package without its binary, and the binary's own package. */
let whole, bare, platform;
/** A directory to be the whole PATH: Node and npm, but no Cargo. */
let withoutCargo;

before(() => {
  temp = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-pack-'));
  withoutCargo = makePath({ node: process.execPath, npm: npmCli(), sh: which('sh') });
  whole = pack(root).tarball;
  bare = packWithoutBinary(whole);
  platform = packPlatform();
});

after(() => fs.rmSync(temp, { recursive: true, force: true }));

test('the tarball holds what runs and what is needed to build it elsewhere, and no more', () => {
  const { files } = pack(root);
  const top = [...new Set(files.map(({ path: name }) => name.split('/')[0]))];
  const expected = [
    ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', 'scripts'],
    ['dist', 'index.d.ts', 'index.js', 'index.mjs', 'lib', 'register.d.ts', 'register.js'],
    ['bin', 'docs', 'schema.json'],
    ['native.d.ts', 'native.js', ...fs.readdirSync(root).filter((name) => BINARY.test(name))],
    ['.cargo', 'Cargo.lock', 'Cargo.toml', 'build.rs', 'src'],
  ];
  assert.deepEqual(top.sort(), expected.flat().sort());
  const scripts = files.map(({ path: name }) => name).filter((name) => name.startsWith('scripts/'));
  assert.deepEqual(scripts, ['scripts/install.js']);
});

test('installed from its tarball, it runs by require and by import', async (t) => {
  const { directory, said } = install([whole], { PATH: withoutCargo });
  assert.equal(said, '');
  await runs(t, directory, { native: true });
});

test('it finds its binary in the package of the platform', async (t) => {
  const { directory, said } = install([bare, platform], { PATH: withoutCargo });
  assert.equal(said, '');
  await runs(t, directory, { native: true });
});

test('without a binary and without Cargo, it says so and is node:cluster', async (t) => {
  const { directory, said } = install([bare], { PATH: withoutCargo });
  assert.match(said, /^rust-cluster: there is no binary for \S+; .* fall back to node:cluster\.$/);
  await runs(t, directory, { native: false, stderr: FALLS_BACK });
});

test('without a binary, the installation fails if that is asked for', () => {
  const directory = empty('required');
  const env = { PATH: withoutCargo, RUST_CLUSTER_REQUIRE_NATIVE: '1' };
  assert.notEqual(npm(['install', bare], directory, env).status, 0);
});

test('without a binary but with Cargo, it is built from source', async (t) => {
  // What this clone has compiled of the dependencies need not be compiled again: the same directory,
  // and the target named, as the build of the clone does.
  const [, host] = /^host: (.*)$/m.exec(run('rustc', ['-vV'], root).stdout);
  const env = { CARGO_TARGET_DIR: path.join(root, 'target'), CARGO_BUILD_TARGET: host };
  const { directory, said } = install([bare], env);
  assert.match(
    said,
    /^rust-cluster: there is no binary for \S+, so it is built from source now.*$/,
  );
  const installed = fs.readdirSync(path.join(directory, 'node_modules', 'rust-cluster'));
  assert.ok(installed.some((name) => BINARY.test(name)));
  assert.ok(!installed.includes('target'));
  await runs(t, directory, { native: true });
});

/** Runs both programs in `directory` and checks what they say of themselves. */
async function runs(t, directory, { native, stderr = /^$/ }) {
  for (const name of fs.readdirSync(programs)) {
    const file = path.join(directory, name);
    fs.copyFileSync(path.join(programs, name), file);
    const env = { NODE_OPTIONS: undefined, NODE_PATH: undefined };
    const { code, stdout } = await start(t, file, { cwd: directory, env, stderr }).exit;
    assert.equal(stdout, `${JSON.stringify({ primary: native, worker: native })}\n`, name);
    assert.equal(code, 0, name);
  }
}

/** Installs tarballs and Express in an empty directory. What the package said meanwhile. */
function install(tarballs, env) {
  const directory = empty('app');
  // Without `--foreground-scripts`, npm keeps to itself what a script says.
  const args = ['install', '--foreground-scripts', ...tarballs, EXPRESS];
  const { status, stderr } = npm(args, directory, env);
  assert.equal(status, 0, stderr);
  const lines = stderr.split('\n').filter((line) => line.startsWith('rust-cluster: '));
  return { directory, said: lines.join('\n') };
}

function pack(directory) {
  // The scripts would build once more what is there.
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', temp];
  const { status, stdout, stderr } = npm(args, directory);
  assert.equal(status, 0, stderr);
  const [{ filename, files }] = JSON.parse(stdout);
  return { tarball: path.join(temp, filename), files };
}

function packWithoutBinary(tarball) {
  const directory = empty('bare');
  run('tar', ['-xzf', tarball, '--strip-components=1'], directory);
  const binaries = fs.readdirSync(directory).filter((name) => BINARY.test(name));
  assert.equal(binaries.length, 1, '`npm run build` makes the binary');
  fs.rmSync(path.join(directory, binaries[0]));

  const named = path.join(empty('tarball'), path.basename(tarball));
  fs.renameSync(tarball, `${tarball}.whole`);
  fs.renameSync(pack(directory).tarball, named);
  fs.renameSync(`${tarball}.whole`, tarball);
  return named;
}

function packPlatform() {
  const { stdout, stderr } = run(process.execPath, ['scripts/pack-platform.js', temp], root);
  const tarballs = stdout.split('\n').filter(Boolean);
  assert.equal(tarballs.length, 1, stderr);
  return tarballs[0];
}

function npm(args, cwd, env) {
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--no-update-notifier'];
  return run(process.execPath, [npmCli(), ...args, ...quiet], cwd, env);
}

function run(command, args, cwd, env) {
  return spawnSync(command, args, { cwd, env: { ...cleanEnv(), ...env }, encoding: 'utf8' });
}

/** Our environment without what a surrounding `npm test` has put there, and no way to this clone. */
function cleanEnv() {
  const kept = /^npm_config_(?:cache|cafile|globalconfig|registry|userconfig|\w*proxy)$/i;
  const ours = /^(?:npm_|NODE_|INIT_CWD$)/i;
  const names = Object.keys(process.env).filter((name) => !ours.test(name) || kept.test(name));
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}

/** npm's program, whatever name it goes by in PATH. */
function npmCli() {
  return process.env.npm_execpath ?? fs.realpathSync(which('npm'));
}

function which(command) {
  return execFileSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' }).trim();
}

function makePath(commands) {
  const directory = empty('bin');
  for (const [name, target] of Object.entries(commands)) {
    fs.symlinkSync(target, path.join(directory, name));
  }
  return directory;
}

function empty(name) {
  return fs.mkdtempSync(path.join(temp, `${name}-`));
}
