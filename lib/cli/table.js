'use strict';

/** Columns for a terminal. */

module.exports = { table };

/**
 * @param {string[]} heads
 * @param {string[][]} rows
 * @param {number[]} [toTheRight] the columns of numbers
 */
function table(heads, rows, toTheRight = []) {
  const widths = heads.map((head, i) => Math.max(head.length, ...rows.map((row) => row[i].length)));
  const line = (/** @type {string[]} */ cells) =>
    cells
      .map((cell, i) =>
        toTheRight.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]),
      )
      .join('  ')
      .trimEnd();
  return [heads, ...rows].map(line).join('\n');
}
