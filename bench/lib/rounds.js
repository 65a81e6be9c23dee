'use strict';

/** Measuring several sides in turns, and what comes out of it. */

/** @typedef {Record<string, number>} Metrics */

/** What one side gave in one round: an entry for each turn. @typedef {Metrics[]} Round */
/** @typedef {{ median: number, min: number, max: number }} Summary */

/**
 * @typedef {object} Session one variant, up
 * @property {() => Promise<Metrics>} sample
 * @property {() => Promise<void>} close
 */

/**
 * Measures what is smaller than the machine's changes from one minute to the next: in each round all
 * variants are started, and then measured in turns, beginning with another one every time.
 * @param {object} what
 * @param {string} what.label
 * @param {string[]} what.variants
 * @param {number} what.rounds
 * @param {number} what.turns how often each is measured in a round
 * @param {(variant: string) => Promise<Session>} what.open
 * @returns {Promise<Map<string, Round[]>>} by variant
 */
async function alternate({ label, variants, rounds, turns, open }) {
  const samples = new Map(variants.map((variant) => [variant, /** @type {Round[]} */ ([])]));
  for (let round = 0; round < rounds; round++) {
    /** @type {Map<string, Session>} */
    const sessions = new Map();
    try {
      progress(`${label}: round ${round + 1} of ${rounds}`);
      for (const variant of rotated(variants, round)) sessions.set(variant, await open(variant));
      for (const all of samples.values()) all.push([]);
      for (let turn = 0; turn < turns; turn++) {
        progress(`${label}: round ${round + 1} of ${rounds}, turn ${turn + 1} of ${turns}`);
        for (const [variant, { sample }] of rotated([...sessions], turn)) {
          samples.get(variant)?.[round].push(await sample());
        }
      }
    } finally {
      for (const session of sessions.values()) await session.close();
    }
  }
  progress('');
  return samples;
}

/**
 * Beginning with another one each time.
 * @template T
 * @param {T[]} all
 * @param {number} by
 */
function rotated(all, by) {
  const first = by % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** One side's figure, by rounds. @param {Round[]} rounds @param {string} metric */
function figure(rounds, metric) {
  return summary(rounds.map((turns) => median(turns.map((metrics) => metrics[metric]))));
}

/**
 * One side's figure divided by the other's of the same turn, by rounds.
 * @param {Round[]} ours
 * @param {Round[]} theirs
 * @param {string} metric
 */
function ratio(ours, theirs, metric) {
  const divided = (/** @type {number} */ round) =>
    ours[round].map((metrics, turn) => metrics[metric] / theirs[round][turn][metric]);
  return summary(ours.map((_, round) => median(divided(round))));
}

/** @param {number[]} values @returns {Summary} */
function summary(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** @param {number[]} values */
function median(values) {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

/** @param {ArrayLike<number>} sorted @param {number} q between 0 and 1 */
function quantile(sorted, q) {
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

/** Shows on a terminal what is being done. @param {string} text */
function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

module.exports = { alternate, figure, quantile, ratio };
