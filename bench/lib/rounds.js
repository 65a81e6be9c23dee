'use strict';

/** Measuring several sides in turns, and what comes out of it. */

/** @typedef {Record<string, number>} Metrics */
/** @typedef {{ median: number, min: number, max: number }} Summary */

/**
 * Measures all variants once in each round, beginning with another one every time, so that what
 * changes on the machine meanwhile changes for all of them.
 * @param {object} what
 * @param {string} what.label
 * @param {string[]} what.variants
 * @param {number} what.rounds
 * @param {(variant: string) => Promise<Metrics>} what.sample
 * @returns {Promise<Map<string, Metrics[]>>} by variant, one entry for each round
 */
async function alternate({ label, variants, rounds, sample }) {
  const samples = new Map(variants.map((variant) => [variant, /** @type {Metrics[]} */ ([])]));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < variants.length; turn++) {
      const variant = variants[(round + turn) % variants.length];
      progress(`${label}: round ${round + 1} of ${rounds}, ${variant}`);
      samples.get(variant)?.push(await sample(variant));
    }
  }
  progress('');
  return samples;
}

/** @param {number[]} values @returns {Summary} */
function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: sorted[0], max: sorted[sorted.length - 1] };
}

/** @param {ArrayLike<number>} sorted @param {number} q between 0 and 1 */
function quantile(sorted, q) {
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

/**
 * One side's figures divided by the other's of the same round.
 * @param {Metrics[]} ours
 * @param {Metrics[]} theirs
 * @param {string} metric
 */
function ratio(ours, theirs, metric) {
  return summary(ours.map((metrics, round) => metrics[metric] / theirs[round][metric]));
}

/** Shows on a terminal what is being done. @param {string} text */
function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

module.exports = { alternate, quantile, ratio, summary };
