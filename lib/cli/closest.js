'use strict';

/** Which of the known words somebody may have meant. */

module.exports = { closest };

/**
 * @param {string} word
 * @param {string[]} known
 * @returns {string | undefined} undefined if none is near
 */
function closest(word, known) {
  const distances = known.map((each) => distance(word.toLowerCase(), each.toLowerCase()));
  const best = Math.min(...distances);
  const found = known[distances.indexOf(best)];
  return best <= Math.max(2, Math.floor(word.length / 3)) ? found : undefined;
}

/** How many letters to insert, remove, replace or swap. @param {string} a @param {string} b */
function distance(a, b) {
  /** @type {number[]} */
  let before = [];
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    before = row;
    row = next;
  }
  return row[b.length];
}
