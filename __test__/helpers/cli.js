'use strict';

// Runs the command for a test, in a directory and with control sockets of the test's own.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { start } = require('./program');

module.exports = { sandbox };

const COMMAND = path.join(__dirname, '..', '..', 'bin', 'rust-cluster.js');
const FIXTURES = path.join(__dirname, '..', 'fixtures', 'cli');

/**
 * A directory for an app, removed with the test, and the means to run the command in it.
 *
 * @param {import('node:test').TestContext} t
 * @param {Record<string, string>} [files] to be in it: name and text
 */
function sandbox(t, files = {}) {
  // Real: on some systems the temporary directory is a link.
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'rc-cli-')));
  const directory = path.join(root, 'app');
  const runtime = path.join(root, 'run');
  for (const each of [directory, runtime]) fs.mkdirSync(each);
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    fs.writeFileSync(path.join(directory, name), text);
  }
  const env = { XDG_RUNTIME_DIR: runtime, NO_COLOR: undefined, FORCE_COLOR: undefined };

  /** Starts `rust-cluster ARGS` in the directory. */
  const run = (args, options = {}) =>
    start(t, COMMAND, { cwd: directory, ...options, args, env: { ...env, ...options.env } });

  // The programs of the test are ended by a hook of their own, which comes first or last; what
  // they leave behind goes in either case.
  t.after(() => fs.rmSync(root, { recursive: true, force: true, maxRetries: 5 }));

  return {
    directory,
    runtime,
    sockets: path.join(runtime, 'rust-cluster'),
    env,
    run,
    /** What a command that ends by itself has said, and its exit code. */
    result: (args, options) => run(args, { stderr: /^/, ...options }).exit,
    /** Starts it in a terminal, whose keys are what is written to its stdin. */
    inTerminal(args, options) {
      const words = [process.execPath, COMMAND, ...args].map((word) => `'${word}'`).join(' ');
      const terminal = start(t, '/dev/null', {
        cwd: directory,
        ...options,
        // Without exec, a shell such as dash stays between, and ends with 130 for a Ctrl-C though
        // the command that it has waited for did not.
        command: ['script', '-qefc', `exec ${words}`],
        env: { ...env, TERM: 'xterm', ...options?.env },
        stdin: 'pipe',
      });
      // It may have gone by itself.
      terminal.child.stdin.on('error', () => {});
      // What runs in a terminal is no part of the group of who has made the terminal.
      t.after(() => endGroup(Number(/\(pid (\d+)\)/.exec(terminal.stdout)?.[1])));
      return terminal;
    },
  };
}

function endGroup(leader) {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Why there are no terminals to be had, or false. */
sandbox.withoutTerminals = () =>
  /util-linux/.test(spawnSync('script', ['--version']).stdout)
    ? false
    : 'terminals are made by script of util-linux';

/** The path of a fixture. @param {string} name */
sandbox.fixture = (name) => path.join(FIXTURES, name);
