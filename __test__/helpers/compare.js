'use strict';

// Runs a scenario as real processes, on the builtin cluster or on ours, and gives a record of all
// that could be seen from outside and from inside, free of what differs from run to run.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { spawn } = require('node:child_process');
const { normaliseLog, normaliseText } = require('./compare-normalise');

const TIME_LIMIT = 30_000;
// A process that is about to end when its primary has ended is given this long.
const GRACE = 5_000;
const PROGRAM = path.join(__dirname, 'scenario-process.js');
const NOBODY = 65534;

/**
 * @param {{ file: string, name: string, ours: boolean }} which
 * @returns the record; `timedOut` when the time limit had to end it.
 */
async function run({ file, name, ours }) {
  const scenario = require(file)[name];
  const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'compare-'));
  // For workers that run as somebody else.
  fs.chmodSync(tmp, 0o777);
  fs.writeFileSync(path.join(tmp, 'log'), '');
  fs.chmodSync(path.join(tmp, 'log'), 0o666);
  try {
    const outcome = await runToTheEnd(scenario, { file, name, ours, tmp });
    const text = fs.readFileSync(path.join(tmp, 'log'), 'utf8');
    return toRecord(outcome, text, tmp);
  } finally {
    fs.rmSync(tmp, { recursive: true, force: true });
  }
}

async function runToTheEnd(scenario, config) {
  const child = startPrimary(scenario, config);
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8');
    child[stream].on('data', (text) => (output[stream] += text));
  }
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killAll(config.tmp);
  }, TIME_LIMIT);
  // 'close' is the end of file on both pipes: all that inherited them have ended, too.
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  const left = await processesLeft(config.tmp);
  killAll(config.tmp);
  return { ...output, exit: { code, signal }, timedOut, left };
}

function startPrimary(scenario, { file, name, ours, tmp }) {
  const role = scenario.parent ? 'parent' : 'primary';
  const env = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    ...scenario.env,
    COMPARE: JSON.stringify({ file, name, ours, tmp, role }),
  };
  const options = { env, cwd: tmp, stdio: ['ignore', 'pipe', 'pipe'], detached: true };
  if (scenario.unprivileged && process.getuid() === 0) {
    Object.assign(options, { uid: NOBODY, gid: NOBODY });
  }
  const args = [...(scenario.execArgv ?? []), PROGRAM, ...(scenario.args ?? [])];
  return spawn(process.execPath, args, options);
}

// By the environment and not by the process group: a scenario may start groups of its own.
function processesOf(tmp) {
  const pids = fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  return pids.filter((pid) => readProcess(pid, 'environ').includes(tmp)).map(Number);
}

function readProcess(pid, what) {
  try {
    return fs.readFileSync(`/proc/${pid}/${what}`, 'utf8');
  } catch {
    return ''; // It has ended, or is somebody else's.
  }
}

function killAll(tmp) {
  for (const pid of processesOf(tmp)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

// There is no event for the end of a process that is not our child, so this looks repeatedly.
async function processesLeft(tmp) {
  const deadline = Date.now() + GRACE;
  let pids = processesOf(tmp);
  while (pids.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    pids = processesOf(tmp);
  }
  return pids.map((pid) => readProcess(pid, 'cmdline').split('\0').join(' ').trim());
}

function toRecord({ stdout, stderr, exit, timedOut, left }, text, tmp) {
  const entries = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return {
    exit,
    timedOut,
    left: left.map((line) => normaliseText(line, tmp)),
    stdout: linesOf(normaliseText(stdout, tmp)),
    stderr: linesOf(normaliseText(stderr, tmp)),
    log: normaliseLog(entries, tmp),
  };
}

// Sorted, as several processes write to one pipe.
function linesOf(text) {
  return text.split('\n').filter(Boolean).sort();
}

/** Why a Node or a system cannot run the scenario, or false if it can. */
function reasonToSkip(scenario) {
  if (process.platform !== 'linux') return 'the records are taken from /proc';
  if (scenario.supported && !scenario.supported()) return 'not supported by this Node or system';
  return false;
}

module.exports = { reasonToSkip, run };
