'use strict';

// Workers are killed, frozen, blocked and told to leave under load, at random. What a client may
// see of it is nothing, unless JavaScript in a worker had its connection when that was killed.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');

const {
  descriptorsOf,
  fixture,
  holder,
  socketPath,
  stop,
  until,
} = require('./helpers/connections');
const { start } = require('./helpers/program');

const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 20);

/** How long a client may wait for a worker while there is one, in milliseconds. */
const LIMIT = 1_000;

/** A connection every so many milliseconds, and somebody is hit every so many. */
const PACE = 4;
const HITS = 250;

/** So many at once when this process was late. */
const BURST = 10;

/** At most so many of the four workers are out at a time. */
const OUT = 2;

/** Numbers from 0 to 1 that depend on the seed alone (xorshift). */
function randomFrom(seed) {
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** The client side: connections at a steady pace, each with what has become of it. */
class Load {
  requests = [];
  /** How late this process itself was, and when: the machine is busy with other things, too. */
  #late = [];
  #target;
  #timer;
  #over;

  /** @param {import('node:net').NetConnectOpts} target @param {number} milliseconds */
  constructor(target, milliseconds) {
    this.#target = target;
    const end = Date.now() + milliseconds;
    /** Resolves when it has lasted that long. */
    this.over = new Promise((resolve) => (this.#over = resolve));
    let due = Date.now();
    this.#timer = setInterval(() => {
      const now = Date.now();
      this.#late.push({ at: now, by: Math.max(0, now - due) });
      if (now > end) this.#over();
      // What was missed is made up for, as independent clients would not have waited.
      for (let burst = 0; due <= now && burst < BURST; burst++, due += PACE) this.ask('answer');
      due = Math.max(due, now);
    }, PACE);
  }

  /** One request on a fresh connection; what becomes of it stands in the object. */
  ask(command) {
    const request = { command, began: Date.now(), port: 0, ended: 0, worker: 0, error: '' };
    this.requests.push(request);
    const socket = net.connect(this.#target, () => {
      request.port = socket.localPort;
      socket.write(`0 ${command}\n`);
    });
    let text = '';
    request.done = new Promise((resolve) => {
      socket.setEncoding('utf8').on('data', (more) => (text += more));
      socket.on('error', ({ code }) => (request.error = code));
      // Nothing is left of it in the kernel, whose ports are limited.
      socket.on('end', () => socket.resetAndDestroy());
      socket.on('close', () => {
        request.ended = Date.now();
        request.worker = Number(text);
        if (!text.endsWith('\n')) request.error ||= 'no answer';
        resolve();
      });
    });
    return request;
  }

  /** How late this process was at worst between two times. */
  latest(from, to) {
    const within = this.#late.filter(({ at }) => at >= from && at <= to + PACE);
    return Math.max(0, ...within.map(({ by }) => by));
  }

  /** Ends when all that was asked is answered, or has failed. */
  async end() {
    clearInterval(this.#timer);
    await Promise.all(this.requests.map(({ done }) => done));
  }
}

/** The ports of the clients whose connections a process has, by its descriptors. */
function portsHeldBy(pid) {
  const sockets = new Set(descriptorsOf(pid).map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]));
  const table = fs.readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1);
  return table.flatMap((row) => {
    const [, , remote, , , , , , , inode] = row.trim().split(/\s+/);
    return sockets.has(inode) ? [Number.parseInt(remote.split(':')[1], 16)] : [];
  });
}

/** What is done to workers. */
class Chaos {
  /** Processes that were killed, and how often everything was done. */
  killed = new Set();
  counts = { kill: 0, freeze: 0, block: 0, leave: 0, disconnect: 0 };
  /** What a worker had in its hands when it was stopped, if its JavaScript had not begun yet. */
  held = [];
  /** Workers that can serve. @type {Set<number>} */
  up = new Set();

  #frozen = new Set();
  /** How many are out and not replaced yet. */
  #out = 0;
  #random;
  #load;
  #primary;
  #timer;

  constructor(seed, load, primary) {
    this.#random = randomFrom(seed);
    this.#load = load;
    this.#primary = primary;
    this.#timer = setInterval(() => this.#hit(), HITS);
  }

  #hit() {
    if (this.#out >= OUT || this.up.size <= OUT) return;
    const kinds = Object.keys(this.counts);
    const kind = kinds[Math.floor(this.#random() * kinds.length)];
    const workers = [...this.up];
    const pid = workers[Math.floor(this.#random() * workers.length)];
    const milliseconds = Math.floor(50 + this.#random() ** 2 * 1_500);
    this.counts[kind]++;
    this.#out++;
    this.#do(kind, pid, milliseconds);
  }

  async #do(kind, pid, milliseconds) {
    switch (kind) {
      case 'kill':
        this.up.delete(pid);
        await this.#stop(pid);
        this.killed.add(pid);
        process.kill(pid, 'SIGKILL');
        break;
      case 'freeze':
        this.up.delete(pid);
        await this.#stop(pid);
        this.#frozen.add(pid);
        setTimeout(() => this.#goOn(pid), milliseconds);
        break;
      case 'block':
        // Whichever worker gets it.
        await this.#load.ask(`block ${milliseconds}`).done;
        this.#out--;
        break;
      case 'leave':
        await this.#load.ask('leave').done;
        break;
      case 'disconnect':
        process.kill(this.#primary, 'SIGUSR2');
        break;
      default:
        throw new Error(`nothing is known of '${kind}'`);
    }
  }

  async #stop(pid) {
    try {
      await stop(pid);
      const at = Date.now();
      for (const port of portsHeldBy(pid)) this.held.push({ pid, port, at });
    } catch {
      // It has left meanwhile, of its own.
    }
  }

  #goOn(pid) {
    if (!this.#frozen.delete(pid)) return;
    this.#out--;
    this.up.add(pid);
    process.kill(pid, 'SIGCONT');
  }

  /** A worker listens that has come in the place of one that is gone. */
  replaced(pid) {
    this.up.add(pid);
    this.#out = Math.max(0, this.#out - 1);
  }

  end() {
    clearInterval(this.#timer);
    for (const pid of [...this.#frozen]) this.#goOn(pid);
  }
}

/** What the workers have noted, by the port of the client. */
function notesIn(file) {
  const notes = new Map();
  for (const line of fs.readFileSync(file, 'utf8').trim().split('\n')) {
    const note = JSON.parse(line);
    if (!notes.has(note.port)) notes.set(note.port, []);
    notes.get(note.port).push(note);
  }
  return notes;
}

/** Puts requests and notes together, and returns what must not be. */
function judge({ requests }, chaos, notes, load) {
  const wrong = [];
  const counts = { requests: requests.length, killedWithWorker: 0, longest: 0 };
  for (const request of requests) {
    const { port, began, ended, error } = request;
    const isIts = ({ at, port: its }) => its === port && at >= began - 1 && at <= ended + 1;
    const taken = (notes.get(port) ?? []).filter(isIts);
    const held = chaos.held.find(isIts);
    const inHand = taken[0] ?? held;
    if (taken.length > 1) wrong.push({ why: 'taken twice', ...request, taken });
    if (error) {
      if (inHand && chaos.killed.has(inHand.pid)) counts.killedWithWorker++;
      else wrong.push({ why: 'lost', ...request, taken });
      continue;
    }
    if (taken.length === 0) wrong.push({ why: 'answered by nobody', ...request });
    const wait = Math.min(...[...taken, ...(held ? [held] : [])].map(({ at }) => at)) - began;
    counts.longest = Math.max(counts.longest, wait);
    // Where this process was late, others were: what counts is what the machine does not explain.
    if (wait > LIMIT + 4 * load.latest(began, ended)) wrong.push({ why: 'late', wait, ...request });
  }
  return { wrong, counts };
}

test(`workers come and go and no client notices (CHAOS_SEED=${SEED})`, async (t) => {
  const notes = path.join(path.dirname(holder(t).file), 'notes');
  const file = socketPath(t);
  const program = start(t, fixture('chaos.js'), {
    args: [notes, file],
    execArgv: ['--expose-gc'],
    timeLimit: (SECONDS + 35) * 1_000,
  });
  const { pid } = await program.next('primary');
  const first = [];
  while (first.length < 4) first.push(await program.next('listening'));
  const before = descriptorsOf(pid).length;
  const target = { port: first[0].port, host: '127.0.0.1' };

  const load = new Load(target, SECONDS * 1_000);
  const chaos = new Chaos(SEED, load, pid);
  for (const worker of first) chaos.up.add(worker.pid);
  let over = false;
  const follow = async (name, act) => {
    while (!over) act(await program.next(name));
  };
  const followed = [
    follow('listening', (worker) => chaos.replaced(worker.pid)),
    follow('leaves', (worker) => chaos.up.delete(worker.pid)),
    follow('exit', (worker) => chaos.up.delete(worker.pid)),
  ].map((following) => following.catch(() => {}));

  await load.over;
  chaos.end();
  await load.end();

  const { wrong, counts } = judge(load, chaos, notesIn(notes), load);
  t.diagnostic(JSON.stringify({ seed: SEED, ...counts, ...chaos.counts }));
  assert.deepEqual(wrong, [], `with CHAOS_SEED=${SEED}`);
  assert.ok(counts.requests > SECONDS * 20, 'there was a load');

  await until(() => descriptorsOf(pid).length === before);
  await until(async () => {
    process.kill(pid, 'SIGHUP');
    const { pages, workers } = await program.next('pages');
    return workers === 4 && pages === workers;
  });
  assert.ok(fs.existsSync(file));
  process.kill(pid, 'SIGTERM');
  const { code } = await program.exit;
  over = true;
  await Promise.all(followed);
  assert.equal(code, 0);
  assert.ok(!fs.existsSync(file));
});
