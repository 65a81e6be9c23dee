'use strict';

/** The programs that are measured, as child processes of the benchmark. */

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** More than any measurement takes; whatever hangs longer is an error. */
const PATIENCE = 120_000;

/** Whether processes can be bound to a core here. */
const canPin = spawnSync('taskset', ['-c', '0', 'true']).status === 0;

/** The last core: interrupts tend to be served by the first one. */
const LAST_CORE = String(os.cpus().length - 1);

/** A copy of this folder that has the package in its `node_modules`, as a user's has. */
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-bench-'));
fs.cpSync(__dirname, folder, { recursive: true });
fs.mkdirSync(path.join(folder, 'node_modules'));
fs.symlinkSync(path.join(__dirname, '../..'), path.join(folder, 'node_modules/rust-cluster'));
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

/** A program of `bench/lib` that answers each command with one message. */
class Program {
  #child;

  /**
   * @param {string} node
   * @param {string} script in this folder
   * @param {object} settings given to it as JSON
   * @param {{ pinned?: boolean }} [options] all its processes on one core
   */
  constructor(node, script, settings, { pinned = false } = {}) {
    const args = [node, path.join(folder, script), JSON.stringify(settings)];
    const [command, ...rest] = pinned ? ['taskset', '-c', LAST_CORE, ...args] : args;
    const env = { ...process.env };
    delete env.NODE_CLUSTER_SCHED_POLICY;
    // A Node that reads certificates at its start takes twice as long for it.
    delete env.NODE_EXTRA_CA_CERTS;
    this.#child = spawn(command, rest, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.script = script;
  }

  get pid() {
    return /** @type {number} */ (this.#child.pid);
  }

  /** The next message from it. @returns {Promise<any>} */
  answer() {
    return new Promise((resolve, reject) => {
      const child = this.#child;
      const finish = (/** @type {() => void} */ settle) => {
        clearTimeout(timer);
        child.removeListener('message', onMessage).removeListener('exit', onExit);
        settle();
      };
      const onMessage = (/** @type {any} */ message) => finish(() => resolve(message));
      const onExit = (/** @type {unknown} */ code, /** @type {unknown} */ signal) =>
        finish(() => reject(new Error(`${this.script} has ended (${signal ?? code})`)));
      const timer = setTimeout(() => {
        finish(() => reject(new Error(`${this.script} has not answered in ${PATIENCE} ms`)));
      }, PATIENCE);
      child.once('message', onMessage).once('exit', onExit);
    });
  }

  /** @param {object} command @returns {Promise<any>} */
  ask(command) {
    this.#child.send(command);
    return this.answer();
  }

  /** Says something that has no answer. @param {object} command */
  tell(command) {
    this.#child.send(command);
  }

  /** Ends it, and with it its workers. */
  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    await exit;
    clearTimeout(timer);
  }
}

module.exports = { Program, canPin };
