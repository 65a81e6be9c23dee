'use strict';

/**
 * Connections: rust-cluster and node:cluster side by side, in turns.
 *
 *   node bench/connections.js --help
 */

const fs = require('node:fs');

const { cpuTime } = require('./lib/cpu');
const { generator, keepAliveGenerator, load, saturate, startLoad } = require('./lib/generator');
const { parse } = require('./lib/options');
const { Program } = require('./lib/program');
const { main } = require('./lib/suite');

/** @typedef {import('./lib/options').Options} Options */
/** @typedef {import('./lib/rounds').Session} Session */
/** @typedef {import('./lib/suite').Scenario} Scenario */

const CLIENTS = 64;

/** What is worse than this with one worker or the primary blocked is felt (milliseconds). */
const WORST = 25;

/**
 * @param {Options} options
 * @returns {Scenario[]}
 */
function scenarios({ node, quick }) {
  const seconds = quick ? 1 : 2;
  const turns = quick ? 1 : 3;
  const size = crowd(quick);
  return [
    {
      name: 'saturation',
      title: `One short HTTP request per connection, 2 workers, ${CLIENTS} clients (${generator})`,
      variants: ['builtin', 'none', 'ours'],
      turns,
      open: (variant) => saturated(node, variant, { workers: 2, idle: 0, seconds }),
      lines: saturationLines(),
    },
    {
      name: 'keep-alive',
      title: `Requests on ${CLIENTS} connections that stay open, 2 workers (${keepAliveGenerator})`,
      variants: ['builtin', 'ours'],
      // From one start to the next they differ by a tenth, both of them.
      starts: quick ? 1 : 4,
      turns: 1,
      open: (variant) => keptAlive(node, variant, seconds),
      lines: [
        { metric: 'rate', label: 'requests/s', goal: { atLeast: 0.97 } },
        { metric: 'workers', label: 'workers, µs CPU per request' },
      ],
    },
    {
      name: 'fork',
      title: "From fork() to 'listening'",
      variants: ['builtin', 'ours'],
      turns: quick ? 4 : 12,
      open: (variant) => forks(node, variant),
      lines: [{ metric: 'time', label: 'milliseconds', goal: { atMost: 1.03 } }],
    },
    {
      name: 'paced',
      title: 'A fresh connection at 1500 a second, 2 workers',
      variants: ['builtin', 'ours'],
      starts: quick ? 1 : 2,
      turns: quick ? 1 : 2,
      open: (variant) => paced(node, variant, seconds + 1),
      lines: [
        { metric: 'p50', label: 'p50, ms', goal: { atMost: 0.75 } },
        { metric: 'p99', label: 'p99, ms', goal: { atMost: 1 } },
        { metric: 'primary', label: 'primary, µs CPU per connection' },
        { metric: 'workers', label: 'workers, µs CPU per connection' },
      ],
    },
    {
      name: 'blocked-worker',
      title: 'A fresh connection while one of 4 workers is blocked for 2 s again and again',
      variants: ['builtin', 'ours'],
      turns: 1,
      open: (variant) => blockedWorker(node, variant, quick ? 3 : 6),
      lines: [
        { metric: 'worst', label: 'worst, ms', goal: { below: WORST, absolute: true } },
        { metric: 'p99', label: 'p99, ms' },
      ],
    },
    {
      name: 'blocked-primary',
      title: "A fresh connection while the primary's JavaScript is blocked for 1 s",
      variants: ['builtin', 'ours'],
      turns: 1,
      open: (variant) => blockedPrimary(node, variant),
      lines: [
        { metric: 'worst', label: 'worst, ms', goal: { below: WORST, absolute: true } },
        { metric: 'p99', label: 'p99, ms' },
      ],
    },
    {
      name: 'crowd',
      title: `As the first, with ${size.workers} workers and ${size.idle} idle connections`,
      variants: ['builtin', 'none', 'ours'],
      turns,
      open: (variant) => saturated(node, variant, { ...size, seconds }),
      lines: saturationLines(),
    },
  ];
}

/** @returns {import('./lib/report').Line[]} */
function saturationLines() {
  return [
    { metric: 'rate', label: 'connections/s', goal: { atLeast: 1.7 } },
    { metric: 'primary', label: 'primary, µs CPU per connection', goal: { atMost: 0.25 } },
    { metric: 'workers', label: 'workers, µs CPU per connection', goal: { atMost: 0.6 } },
    {
      metric: 'rate',
      label: 'connections/s, to SCHED_NONE',
      against: 'none',
      goal: { atLeast: 0.9 },
    },
  ];
}

/** How many workers and idle connections: 32 and 10 000 where the limits allow it. */
function crowd(/** @type {boolean} */ quick) {
  if (quick) return { workers: 8, idle: 1000 };
  const limit = /^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'));
  // With the builtin's round robin, half of them may be under way in the primary.
  return { workers: 32, idle: Math.min(10_000, Math.floor(Number(limit?.[1] ?? 1024) * 0.8)) };
}

/**
 * A cluster that is up.
 * @typedef {object} Target
 * @property {InstanceType<typeof Program>} server
 * @property {number} port
 * @property {number[]} pids the workers'
 * @property {InstanceType<typeof Program>[]} programs that are ended with it
 */

/**
 * Starts a cluster.
 * @param {string} node
 * @param {{ variant: string, workers: number }} settings
 * @param {(target: Target) => Promise<unknown>} warmUp
 * @param {(target: Target) => Promise<any>} sample
 * @returns {Promise<Session>}
 */
async function session(node, { variant, workers }, warmUp, sample) {
  const server = new Program(node, 'server.js', { variant, workers });
  const programs = [server];
  const close = async () => {
    for (const program of programs) await program.stop();
  };
  try {
    const { port, pids } = await server.answer();
    const target = { server, port, pids, programs };
    await warmUp(target);
    return { sample: () => sample(target), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * CPU time of primary and workers while something is done.
 * @template {{ requests: number }} T
 * @param {Target} target
 * @param {() => Promise<T>} act
 */
async function withCpu({ server, pids }, act) {
  const [primary, workers] = [cpuTime(server.pid), cpuTime(...pids)];
  const result = await act();
  return {
    ...result,
    primary: (cpuTime(server.pid) - primary) / result.requests,
    workers: (cpuTime(...pids) - workers) / result.requests,
  };
}

/**
 * Seconds. For that long V8 compiles what the server runs, on other threads, which is not what a
 * connection costs.
 */
const WARM_UP = 3;
const WARM_UP_FORKS = 5;

const warmUp = (/** @type {Target} */ { port }) => saturate(port, CLIENTS, WARM_UP, false);

/** The rate of as many requests as the workers can take, and what they cost. */
async function throughput(
  /** @type {Target} */ target,
  /** @type {number} */ seconds,
  /** @type {boolean} */ keepAlive,
) {
  const result = await withCpu(target, () => saturate(target.port, CLIENTS, seconds, keepAlive));
  return { ...result, rate: result.requests / result.seconds };
}

/**
 * @param {string} node
 * @param {string} variant
 * @param {{ workers: number, idle: number, seconds: number }} settings
 */
function saturated(node, variant, { workers, idle, seconds }) {
  const fill = async (/** @type {Target} */ target) => {
    if (idle > 0) {
      const holder = startLoad({ mode: 'idle', port: target.port, count: idle });
      target.programs.unshift(holder);
      await holder.answer();
    }
    await warmUp(target);
  };
  return session(node, { variant, workers }, fill, (target) => throughput(target, seconds, false));
}

function keptAlive(
  /** @type {string} */ node,
  /** @type {string} */ variant,
  /** @type {number} */ seconds,
) {
  const begin = (/** @type {Target} */ { port }) => saturate(port, CLIENTS, WARM_UP, true);
  return session(node, { variant, workers: 2 }, begin, (target) =>
    throughput(target, seconds, true),
  );
}

function forks(/** @type {string} */ node, /** @type {string} */ variant) {
  const fork = (/** @type {Target} */ { server }) => server.ask({ what: 'fork' });
  const begin = async (/** @type {Target} */ target) => {
    for (let n = 0; n < WARM_UP_FORKS; n++) await fork(target);
  };
  return session(node, { variant, workers: 1 }, begin, fork);
}

function paced(
  /** @type {string} */ node,
  /** @type {string} */ variant,
  /** @type {number} */ seconds,
) {
  return session(node, { variant, workers: 2 }, warmUp, (target) =>
    withCpu(target, () => load({ mode: 'paced', port: target.port, rate: 1500, seconds })),
  );
}

/** Fresh connections a second while something is blocked: few enough to disturb nothing. */
const PROBES = 100;

function blockedWorker(
  /** @type {string} */ node,
  /** @type {string} */ variant,
  /** @type {number} */ seconds,
) {
  return session(node, { variant, workers: 4 }, warmUp, async ({ port }) => {
    const blocker = startLoad({ mode: 'blocker', port, ms: 2000 });
    try {
      await blocker.answer();
      return await load({ mode: 'paced', port, rate: PROBES, seconds });
    } finally {
      await blocker.stop();
    }
  });
}

function blockedPrimary(/** @type {string} */ node, /** @type {string} */ variant) {
  return session(node, { variant, workers: 2 }, warmUp, async ({ server, port }) => {
    const timer = setTimeout(() => server.tell({ what: 'block', ms: 1000 }), 500);
    try {
      return await load({ mode: 'paced', port, rate: PROBES, seconds: 3 });
    } finally {
      clearTimeout(timer);
    }
  });
}

const DOES = 'Measures connections with rust-cluster and node:cluster side by side.';

if (require.main === module) main(scenarios, parse('connections.js', DOES));

module.exports = { scenarios };
