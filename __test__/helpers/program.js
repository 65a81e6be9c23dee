'use strict';

// Runs a real program for a test: follows what it prints, and sees to it that nothing of it is left
// when the test is over. Nothing in here sleeps: a test waits for a line or for an end.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const readline = require('node:readline');
const { setImmediate: nextTurn } = require('node:timers/promises');

module.exports = { start };

/** A program that still runs after this many milliseconds is killed, and fails its test. */
const TIME_LIMIT = 60_000;

/** What has been started by each test and has to be ended with it. */
const startedBy = new WeakMap();

/**
 * Starts `node FILE ARGS` in a process group of its own.
 *
 * The test `t` ends it, if it still runs by then, and fails if its stderr is not as expected or if
 * it ended and left a process behind.
 *
 * @param {import('node:test').TestContext} t the test that it belongs to
 * @param {string} file the program
 * @param {object} [options]
 * @param {string[]} [options.command] what runs it, rather than Node itself
 * @param {string[]} [options.args] its arguments
 * @param {string[]} [options.execArgv] arguments for node itself
 * @param {NodeJS.ProcessEnv} [options.env] laid over the environment of the test
 * @param {string} [options.cwd]
 * @param {RegExp} [options.stderr] what stderr must match at the end; nothing, unless told
 * @param {'ignore' | 'pipe'} [options.stdin]
 * @param {number} [options.timeLimit] milliseconds
 * @returns {Program}
 */
function start(t, file, options = {}) {
  const program = new Program(file, options);
  if (!startedBy.has(t)) {
    const programs = [];
    startedBy.set(t, programs);
    // One hook for all: a hook that fails keeps those after it from running.
    t.after(async () => {
      const results = await Promise.allSettled(programs.map((each) => each.end()));
      const failed = results.find(({ status }) => status === 'rejected');
      if (failed) throw failed.reason;
    });
  }
  startedBy.get(t).push(program);
  return program;
}

class Program {
  /**
   * Settles when the whole process group is gone; rejects only at the time limit.
   *
   * @type {Promise<{code: number | null, signal: string | null, stdout: string, stderr: string}>}
   */
  exit;
  /** @type {import('node:child_process').ChildProcess} */
  child;
  /** What it has printed so far. */
  stdout = '';
  stderr = '';

  #expectedStderr;
  #lines = []; // printed, and not yet asked for
  #waiting = []; // asked for, and not yet printed
  #failure = null; // why nothing more will be printed

  constructor(file, options) {
    const { args = [], command = [process.execPath], cwd, env, execArgv = [] } = options;
    const { stderr = /^$/, stdin = 'ignore', timeLimit = TIME_LIMIT } = options;
    this.#expectedStderr = stderr;
    const [program, ...before] = command;
    this.child = spawn(program, [...before, ...execArgv, file, ...args], {
      cwd,
      env: { ...process.env, ...env },
      detached: true,
      stdio: [stdin, 'pipe', 'pipe'],
    });
    this.child.stdout.setEncoding('utf8').on('data', (text) => (this.stdout += text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    readline.createInterface(this.child.stdout).on('line', (line) => this.#take(line));

    this.exit = this.#run(timeLimit);
    this.exit.catch(() => {}); // reported by end(), also where nobody looks at `exit`
  }

  get pid() {
    return this.child.pid;
  }

  /**
   * The next event of that name: the program printed `{"event": NAME, ...}` on a line of its own.
   * Each event is handed out once, those that came before the call included.
   *
   * @param {string} name
   * @returns {Promise<object>}
   */
  next(name) {
    return this.#wait(`event '${name}'`, (line) => {
      const event = parse(line);
      return event?.event === name ? event : null;
    });
  }

  /**
   * The next line that matches, as the match. Each line is handed out once.
   *
   * @param {RegExp} pattern
   * @returns {Promise<RegExpExecArray>}
   */
  line(pattern) {
    return this.#wait(`line ${pattern}`, (line) => pattern.exec(line));
  }

  /** Sends a signal to the program itself. */
  kill(signal = 'SIGTERM') {
    return this.child.kill(signal);
  }

  /** Sends a signal again and again, until the program ends. */
  insist(signal) {
    const timer = setInterval(() => this.child.kill(signal), 50);
    this.child.once('exit', () => clearInterval(timer));
  }

  /** Does what Ctrl-C in a terminal does: interrupts the program and everything it has started. */
  ctrlC() {
    this.#killGroup('SIGINT');
  }

  /** Ends what still runs, and rejects if the program did not keep to what is expected of it. */
  async end() {
    const { exitCode, signalCode } = this.child;
    if (exitCode === null && signalCode === null) this.#killGroup('SIGKILL');
    await this.exit;
    if (!this.#expectedStderr.test(this.stderr)) {
      throw new Error(this.#report(`stderr does not match ${this.#expectedStderr}`));
    }
  }

  /** From start to end: resolves when no process of the group is left. */
  async #run(timeLimit) {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      const left = groupMembers(this.pid).join(', ') || 'of another group';
      this.#fail(`still there after ${timeLimit} ms: process ${left}`);
      this.#killGroup('SIGKILL');
      // Whoever has left the group may still hold these.
      this.child.stdout.destroy();
      this.child.stderr.destroy();
    }, timeLimit);

    try {
      // 'close' comes when nobody holds stdout and stderr any more: children that inherited them
      // have ended as well. The others are looked for.
      const [code, signal] = await new Promise((resolve, reject) => {
        this.child.on('error', reject);
        this.child.on('close', (...how) => resolve(how));
      });
      while (!late && groupMembers(this.pid).length > 0) await nextTurn();

      this.#fail(`ended with ${signal ?? `code ${code}`}`);
      if (late) throw this.#failure;
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    } finally {
      clearTimeout(timer);
    }
  }

  #killGroup(signal) {
    try {
      process.kill(-this.pid, signal);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }

  #take(line) {
    for (const [i, waiter] of this.#waiting.entries()) {
      const found = waiter.match(line);
      if (found) {
        this.#waiting.splice(i, 1);
        waiter.resolve(found);
        return;
      }
    }
    this.#lines.push(line);
  }

  #wait(wanted, match) {
    for (const [i, line] of this.#lines.entries()) {
      const found = match(line);
      if (found) {
        this.#lines.splice(i, 1);
        return Promise.resolve(found);
      }
    }
    return new Promise((resolve, reject) => {
      const waiter = { match, resolve, reject: (why) => reject(new Error(`no ${wanted}: ${why}`)) };
      if (this.#failure) waiter.reject(this.#failure.message);
      else this.#waiting.push(waiter);
    });
  }

  /** Nothing more will come: tells everyone who waits for something. The first reason counts. */
  #fail(why) {
    this.#failure ??= new Error(this.#report(why));
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#failure.message);
  }

  #report(what) {
    const command = this.child.spawnargs.slice(1).join(' ');
    return `${command}: ${what}\n--- stdout ---\n${this.stdout}\n--- stderr ---\n${this.stderr}`;
  }
}

/** The JSON object on a line, or null where the line is something else. */
function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

/** The ids of the processes of a group that are alive. A zombie has ended: it waits for init. */
function groupMembers(group) {
  try {
    process.kill(-group, 0);
  } catch (error) {
    if (error.code === 'ESRCH') return [];
  }
  return fs.readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    const { state, processGroup } = processStatus(entry);
    return processGroup === group && state !== 'Z' && state !== 'X';
  });
}

function processStatus(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program comes before these, in parentheses, and may itself contain any.
    const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state, processGroup: Number(processGroup) };
  } catch {
    return { state: 'X', processGroup: null }; // ended between the listing and the look
  }
}
