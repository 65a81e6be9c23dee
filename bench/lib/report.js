'use strict';

/** Figures next to their goals: as rows for the JSON file, and as a table to read. */

const { figure, ratio } = require('./rounds');

/** @typedef {import('./rounds').Round} Round */
/** @typedef {import('./rounds').Summary} Summary */

/**
 * @typedef {object} Goal one of these, for the ratio or, with `absolute`, for our figure itself
 * @property {number} [atLeast]
 * @property {number} [atMost]
 * @property {number} [below]
 * @property {boolean} [absolute]
 */

/**
 * @typedef {object} Line
 * @property {string} metric
 * @property {string} label
 * @property {string} [against] the variant that it is compared with; the first one by default
 * @property {Goal} [goal] none for a figure that is only informative
 */

/**
 * @typedef {object} Row
 * @property {string} label
 * @property {string} metric
 * @property {string} against
 * @property {Record<string, Summary>} figures by variant
 * @property {Summary} ratio ours to `against`
 * @property {Goal} [goal]
 * @property {boolean} [met]
 */

const OURS = 'ours';

/**
 * @param {Line[]} lines
 * @param {Map<string, Round[]>} samples
 * @returns {Row[]}
 */
function rows(lines, samples) {
  const [first] = samples.keys();
  return lines.map(({ label, metric, against = first, goal }) => {
    const figures = Object.fromEntries(
      Array.from(samples, ([variant, rounds]) => [variant, figure(rounds, metric)]),
    );
    const of = (/** @type {string} */ variant) => samples.get(variant) ?? [];
    const compared = ratio(of(OURS), of(against), metric);
    const judged = goal?.absolute ? figures[OURS].median : compared.median;
    const met = goal && meets(goal, judged);
    return { label, metric, against, figures, ratio: compared, goal, met };
  });
}

/** @param {Goal} goal @param {number} figure not rounded: 0.754 is more than 0.75 */
function meets({ atLeast = -Infinity, atMost = Infinity, below = Infinity }, figure) {
  return figure >= atLeast && figure <= atMost && figure < below;
}

/**
 * Prints rows below one another.
 * @param {string} title
 * @param {Row[]} all
 */
function print(title, all) {
  const variants = Object.keys(all[0].figures);
  const head = ['', ...variants.map(nameOf), 'ratio', 'min to max', 'goal', ''];
  const body = all.map(({ label, figures, ratio: r, goal, met }) => [
    label,
    ...variants.map((variant) => number(figures[variant].median)),
    number(r.median),
    `${number(r.min)} to ${number(r.max)}`,
    goal ? textOf(goal) : '',
    goal ? (met ? 'met' : 'not met') : '',
  ]);
  const widths = head.map((_, column) =>
    Math.max(...[head, ...body].map((cells) => cells[column].length)),
  );
  const line = (/** @type {string[]} */ cells) =>
    cells
      .map((cell, column) => {
        const isText = column === 0 || column >= cells.length - 2;
        return isText ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
      })
      .join('  ')
      .trimEnd();
  const rule = '-'.repeat(line(widths.map((width) => '-'.repeat(width))).length);
  console.log(['', title, rule, line(head), rule, ...body.map(line), rule].join('\n'));
}

/** @param {string} variant */
function nameOf(variant) {
  return (
    { builtin: 'node:cluster', none: 'SCHED_NONE', [OURS]: 'rust-cluster' }[variant] ?? variant
  );
}

/** @param {Goal} goal */
function textOf({ atLeast, atMost, below, absolute }) {
  const unit = absolute ? '' : ' times';
  if (atLeast !== undefined) return `at least ${atLeast}${unit}`;
  if (atMost !== undefined) return `at most ${atMost}${unit}`;
  return `below ${below}${unit}`;
}

/** Three digits are more than such measurements have. @param {number} value */
function number(value) {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

module.exports = { nameOf, number, print, rows, textOf };
