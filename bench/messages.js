'use strict';

/**
 * Messages: rust-cluster and node:cluster side by side, in turns.
 *
 *   node bench/messages.js --help
 */

const { parse } = require('./lib/options');
const { Program, canPin } = require('./lib/program');
const { main } = require('./lib/suite');

/** @typedef {import('./lib/options').Options} Options */
/** @typedef {import('./lib/suite').Scenario} Scenario */
/** @typedef {import('./lib/talker').Stream} Stream */
/** @typedef {'json' | 'advanced'} Serialization */

const DIRECTIONS = /** @type {const} */ (['to worker', 'to primary']);
const VARIANTS = ['builtin', 'ours'];
const TURNS = 2;

/** How many messages at a time, how many in all, and how many times the builtin's rate. */
const BURSTS = [
  { burst: 1000, count: 200_000, pinned: 8, unpinned: 8 },
  { burst: 10, count: 200_000, pinned: 2.5, unpinned: 2.5 },
  { burst: 1, count: 100_000, pinned: 1.5, unpinned: 1 },
];

/** Messages of 1 MB, and how many times the builtin's rate. */
const LARGE = /** @type {const} */ ([
  { payload: 'ascii', text: 'strings of 1 MB, ASCII', serialization: 'json', goal: 3 },
  { payload: 'latin1', text: 'strings of 1 MB, Latin-1', serialization: 'json', goal: 3 },
  { payload: 'two-byte', text: 'strings of 1 MB, two-byte', serialization: 'json', goal: 1.5 },
  { payload: 'buffer', text: 'buffers of 1 MB', serialization: 'advanced', goal: 2 },
]);

/**
 * @param {Options} options
 * @returns {Scenario[]}
 */
function scenarios(options) {
  const shorter = options.quick ? 0.25 : 1;
  const bench = { node: options.node, shorter };
  return placements().flatMap((pinned) => [
    ...BURSTS.map((burst) => small(bench, burst, 'json', pinned)),
    small(bench, { burst: 1000, count: 40_000, pinned: 5, unpinned: 5 }, 'advanced', pinned),
    roundTrips(bench, pinned),
    ...LARGE.map((large) => big(bench, large, pinned)),
  ]);
}

/** Both processes on one core, and wherever the system puts them. */
function placements() {
  if (canPin) return [true, false];
  console.log('Without taskset (util-linux) nothing is pinned to a core.');
  return [false];
}

/** @typedef {{ node: string, shorter: number }} Bench */

/** @param {boolean} pinned */
function where(pinned) {
  return pinned ? 'both processes on one core (seconds of its time)' : 'unpinned';
}

/** @param {string} name @param {boolean} pinned */
function nameOf(name, pinned) {
  return `${name}-${pinned ? 'pinned' : 'unpinned'}`;
}

/**
 * @param {Bench} bench
 * @param {{ burst: number, count: number, pinned: number, unpinned: number }} burst
 * @param {Serialization} serialization
 * @param {boolean} pinned
 * @returns {Scenario}
 */
function small({ node, shorter }, { burst, count: full, ...goals }, serialization, pinned) {
  const count = full * shorter;
  const goal = { atLeast: pinned ? goals.pinned : goals.unpinned };
  const cpuGoal = serialization === 'json' && burst === 1000 ? { atMost: 0.15 } : undefined;
  return {
    name: nameOf(`${serialization}-${burst}`, pinned),
    title: `'${serialization}', small messages, ${burst} a tick, ${where(pinned)}`,
    variants: VARIANTS,
    turns: TURNS,
    async open(variant) {
      const bare = await alone(node, 'small', serialization, 100_000);
      const stream = { payload: 'small', count, burst };
      return streams({ node, variant, serialization, pinned }, stream, bare);
    },
    lines: [
      ...DIRECTIONS.flatMap((direction) => [
        { metric: `${direction} rate`, label: `${direction}, messages/s`, goal },
        { metric: `${direction} cpu`, label: `${direction}, µs CPU each`, goal: cpuGoal },
      ]),
      { metric: 'alone', label: `V8 alone, µs CPU each` },
    ],
  };
}

/**
 * @param {Bench} bench
 * @param {(typeof LARGE)[number]} large
 * @param {boolean} pinned
 * @returns {Scenario}
 */
function big({ node, shorter }, { payload, text, serialization, goal }, pinned) {
  return {
    name: nameOf(payload, pinned),
    title: `'${serialization}', ${text}, 4 under way, ${where(pinned)}`,
    variants: VARIANTS,
    turns: TURNS,
    async open(variant) {
      const bare = await alone(node, payload, serialization, 40);
      const stream = { payload, count: 80 * shorter, burst: 1, window: 4 };
      return streams({ node, variant, serialization, pinned }, stream, bare);
    },
    lines: [
      ...DIRECTIONS.flatMap((direction) => [
        {
          metric: `${direction} rate`,
          label: `${direction}, MB/s`,
          goal: { atLeast: goal },
        },
        { metric: `${direction} cpu`, label: `${direction}, µs CPU each` },
      ]),
      { metric: 'alone', label: `V8 alone, µs CPU each` },
    ],
  };
}

/** @param {Bench} bench @param {boolean} pinned @returns {Scenario} */
function roundTrips({ node, shorter }, pinned) {
  const count = 30_000 * shorter;
  return {
    name: nameOf('round-trip', pinned),
    title: `Round trips, one after the other, ${where(pinned)}`,
    variants: VARIANTS,
    turns: TURNS,
    open: (variant) =>
      session({ node, variant, serialization: 'json', pinned }, async (talker) => {
        const command = { what: 'round trips', count, warmUp: count };
        const { p50, p99, cpu } = await talker.ask(command);
        return { p50, p99, cpu: cpu / count };
      }),
    lines: [
      // Unpinned it is bimodal, by where the system puts the processes.
      { metric: 'p50', label: 'p50, µs', goal: pinned ? { atMost: 0.7 } : undefined },
      { metric: 'p99', label: 'p99, µs', goal: pinned ? { atMost: 1 } : undefined },
      { metric: 'cpu', label: 'µs CPU each' },
    ],
  };
}

/**
 * @typedef {object} Side
 * @property {string} node
 * @property {string} variant
 * @property {Serialization} serialization
 * @property {boolean} pinned
 */

/**
 * Rate and CPU time per message, in both directions, between the same two processes.
 * @param {Side} side
 * @param {Omit<Stream, 'direction'>} stream
 * @param {number} bare what V8 alone needs
 */
function streams(side, stream, bare) {
  return session(side, async (talker) => {
    /** @type {Record<string, number>} */
    const metrics = { alone: bare };
    for (const direction of DIRECTIONS) {
      const warmUp = stream.count / 2;
      const { seconds, cpu } = await talker.ask({ ...stream, direction, warmUp });
      // A core that both share is never idle; but it may have others to serve, which are not
      // what is measured. So the second is one of the two processes' own time.
      metrics[`${direction} rate`] = stream.count / (side.pinned ? cpu / 1e6 : seconds);
      metrics[`${direction} cpu`] = cpu / stream.count;
    }
    return metrics;
  });
}

/**
 * @param {Side} side
 * @param {(talker: InstanceType<typeof Program>) => Promise<import('./lib/rounds').Metrics>} measure
 * @returns {Promise<import('./lib/rounds').Session>}
 */
async function session({ node, variant, serialization, pinned }, measure) {
  const talker = new Program(node, 'talker.js', { variant, serialization }, { pinned });
  const close = () => talker.stop();
  try {
    await talker.answer();
    return { sample: () => measure(talker), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * What V8 alone needs for a message: less than this no channel can reach.
 * @param {string} node
 * @param {string} name
 * @param {Serialization} serialization
 * @param {number} count
 */
async function alone(node, name, serialization, count) {
  const program = new Program(node, 'payloads.js', { name, serialization, count });
  try {
    return (await program.answer()).alone;
  } finally {
    await program.stop();
  }
}

const DOES = 'Measures messages with rust-cluster and node:cluster side by side.';

if (require.main === module) main(scenarios, parse('messages.js', DOES));

module.exports = { scenarios };
