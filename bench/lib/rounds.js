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
 * Measures what is smaller than the machine's changes from one minute to the next: all variants are
 * started, and then measured in turns, beginning with another one every time.
 * @param {object} what
 * @param {string} what.label
 * @param {string[]} what.variants
 * @param {number} what.rounds
 * @param {number} [what.starts] how often all are started anew in a round; 1 by default. Two processes
 *   of the same program differ, by what V8 has made of it.
 * @param {number} what.turns how often each is measured between
 * @param {(variant: string) => Promise<Session>} what.open
 * @returns {Promise<Map<string, Round[]>>} by variant
 */
async function alternate({ label, variants, rounds, starts = 1, turns, open }) {
  const samples = new Map(variants.map((variant) => [variant, /** @type {Round[]} */ ([])]));
  for (let start = 0; start < rounds * starts; start++) {
    const round = Math.floor(start / starts);
    const doing = `${label}: round ${round + 1} of ${rounds}`;
    /** @type {Map<string, Session>} */
    const sessions = new Map();
    try {
      progress(doing);
      for (const variant of rotated(variants, start)) sessions.set(variant, await open(variant));
      for (const all of samples.values()) all[round] ??= [];
      for (let turn = 0; turn < turns; turn++) {
        progress(`${doing}, turn ${(start % starts) * turns + turn + 1} of ${starts * turns}`);
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
