'use strict';

/**
 * Makes bench/results.svg from bench/results.json: for each goal a bar that says how many times
 * better than node:cluster the package is, and a mark where the goal stands.
 *
 *   node bench/plot.js [results.json [results.svg]]
 */

const fs = require('node:fs');
const path = require('node:path');

const { number } = require('./lib/report');

/** @typedef {import('./lib/report').Row} Row */
/** @typedef {{ name: string, rows: Row[] }} Result */
/** @typedef {{ text: string, times: number, from: number, to: number, goal: number, values: string }} Bar */

/** Which figures are shown, in this order: scenario, metric, what it is called. */
const CONNECTIONS = [
  ['saturation', 'rate', 'connections per second', '/s'],
  ['saturation', 'primary', "primary's CPU per connection", ' µs'],
  ['saturation', 'workers', "workers' CPU per connection", ' µs'],
  ['crowd', 'rate', 'the same with a crowd: connections per second', '/s'],
  ['crowd', 'primary', "… primary's CPU per connection", ' µs'],
  ['paced', 'p50', 'a fresh connection at 1500/s, median', ' ms'],
  ['keep-alive', 'rate', 'keep-alive requests per second', '/s'],
  ['fork', 'time', "fork() to 'listening'", ' ms'],
  ['blocked-worker', 'worst', 'a worker is blocked: worst wait', ' ms'],
  ['blocked-primary', 'worst', 'the primary is blocked: worst wait', ' ms'],
];
const MESSAGES = [
  ['json-1000-pinned', 'to worker rate', 'JSON, 1000 a tick, to the worker', '/s'],
  ['json-1000-pinned', 'to primary rate', 'JSON, 1000 a tick, to the primary', '/s'],
  ['json-10-pinned', 'to worker rate', 'JSON, 10 a tick', '/s'],
  ['json-1-pinned', 'to worker rate', 'JSON, 1 a tick', '/s'],
  ['advanced-1000-pinned', 'to worker rate', "'advanced', 1000 a tick", '/s'],
  ['round-trip-pinned', 'p50', 'round trip, median', ' µs'],
  ['ascii-pinned', 'to worker rate', 'strings of 1 MB, ASCII', ' MB/s'],
  ['two-byte-pinned', 'to worker rate', 'strings of 1 MB, two-byte', ' MB/s'],
  ['buffer-pinned', 'to worker rate', 'buffers of 1 MB', ' MB/s'],
];

const WIDTH = 880;
const LABELS = 330;
const VALUES = 190;
const RIGHT = WIDTH - VALUES;
const ROW = 26;
const BAR = 14;
const COLORS = {
  text: '#24292f',
  soft: '#6e7781',
  line: '#d8dee4',
  bar: '#2f81c7',
  worse: '#c9803a',
  goal: '#24292f',
  paper: '#ffffff',
};
const FONT = "font-family='system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif'";

const [from = 'results.json', to = 'results.svg'] = process.argv.slice(2);
draw(path.resolve(__dirname, from), path.resolve(__dirname, to));

/** @param {string} source @param {string} target */
function draw(source, target) {
  const results = JSON.parse(fs.readFileSync(source, 'utf8'));
  const groups = [
    { title: 'Connections', bars: barsOf(CONNECTIONS, results.connections) },
    { title: 'Messages, both processes on one core', bars: barsOf(MESSAGES, results.messages) },
  ].filter(({ bars }) => bars.length > 0);
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ to: end }) => end)));
  const scale = scaleUpTo(most);

  /** @type {string[]} */
  const parts = [];
  let y = 84;
  for (const { title, bars } of groups) {
    parts.push(text(24, y, title, { size: 14, weight: 600 }));
    y += 12;
    const top = y;
    for (const bar of bars) {
      parts.push(row(bar, y, scale));
      y += ROW;
    }
    parts.unshift(grid(top, y, scale));
    y += 40;
  }
  const about = `Node ${results.node}, ${results.cores} cores, ${results.rounds} rounds in turns, medians`;
  const head = [
    text(24, 32, 'rust-cluster to node:cluster: how many times better', { size: 18, weight: 600 }),
    text(
      24,
      54,
      `${about}; the mark is the goal, the thin line goes from the worst to the best round.`,
      {
        soft: 1,
      },
    ),
  ];
  const height = y - 14;
  const svg = [
    `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ${WIDTH} ${height}' width='${WIDTH}' ` +
      `height='${height}' ${FONT} role='img' aria-label='rust-cluster compared with node:cluster'>`,
    `<rect width='${WIDTH}' height='${height}' rx='8' fill='${COLORS.paper}'/>`,
    ...head,
    ...parts,
    '</svg>',
  ];
  fs.writeFileSync(target, `${svg.join('\n')}\n`);
}

/**
 * @param {string[][]} wanted
 * @param {Result[]} results
 * @returns {Bar[]}
 */
function barsOf(wanted, results) {
  return wanted.flatMap(([name, metric, label, unit]) => {
    const found = results.find((result) => result.name === name);
    const one = found?.rows.find((each) => each.metric === metric && each.goal);
    return one ? [barOf(one, label, unit)] : [];
  });
}

/** Of costs and times less is better: there, the inverse says how many times better. */
function barOf(
  /** @type {Row} */ { figures, ratio, goal = {} },
  /** @type {string} */ label,
  /** @type {string} */ unit,
) {
  const less = goal.atLeast === undefined;
  const better = (/** @type {number} */ value) => (less ? 1 / value : value);
  const { builtin, ours } = figures;
  const ends = [better(ratio.min), better(ratio.max)].sort((a, b) => a - b);
  const limit = goal.absolute ? (goal.below ?? 1) / builtin.median : (goal.atLeast ?? goal.atMost);
  return {
    text: label,
    times: better(ratio.median),
    from: ends[0],
    to: ends[1],
    goal: better(limit ?? 1),
    values: `${short(builtin.median)} → ${short(ours.median)}${unit}`,
  };
}

/** Short, because there is little room: 141k, 1.03M. @param {number} value */
function short(value) {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  return value >= 1e4 ? `${(value / 1000).toFixed(0)}k` : number(value);
}

/** A logarithmic scale, because a tenth and ten times are equally far from the same. */
function scaleUpTo(/** @type {number} */ most) {
  const [low, high] = [Math.log(0.5), Math.log(Math.max(most, 10))];
  const at = (/** @type {number} */ times) => {
    const part = (Math.log(Math.max(times, 0.5)) - low) / (high - low);
    return LABELS + Math.min(1, part) * (RIGHT - LABELS - 10);
  };
  const ticks = [0.5, 1, 2, 5, 10, 20, 50, 100, 200].filter((tick) => tick <= Math.max(most, 10));
  return { at, ticks };
}

/** @typedef {ReturnType<typeof scaleUpTo>} Scale */

/** @param {number} top @param {number} bottom @param {Scale} scale */
function grid(top, bottom, { at, ticks }) {
  return ticks
    .map((tick) => {
      const x = at(tick).toFixed(1);
      const color = tick === 1 ? COLORS.soft : COLORS.line;
      return `<line x1='${x}' x2='${x}' y1='${top}' y2='${bottom}' stroke='${color}'/>${text(
        Number(x),
        bottom + 14,
        tick === 1 ? 'equal' : `${tick}×`,
        {
          soft: 1,
          anchor: 'middle',
        },
      )}`;
    })
    .join('\n');
}

/** @param {Bar} bar @param {number} y @param {Scale} scale */
function row(bar, y, { at }) {
  const middle = y + ROW / 2;
  const [start, end] = [at(1), at(bar.times)].sort((a, b) => a - b);
  const goal = at(bar.goal).toFixed(1);
  const color = bar.times < 0.97 ? COLORS.worse : COLORS.bar;
  return [
    text(LABELS - 14, middle + 4, bar.text, { anchor: 'end' }),
    `<rect x='${start.toFixed(1)}' y='${middle - BAR / 2}' width='${Math.max(1.5, end - start).toFixed(1)}' ` +
      `height='${BAR}' rx='2' fill='${color}' fill-opacity='0.85'/>`,
    `<line x1='${at(bar.from).toFixed(1)}' x2='${at(bar.to).toFixed(1)}' y1='${middle}' y2='${middle}' ` +
      `stroke='${COLORS.text}' stroke-opacity='0.35' stroke-width='1.5'/>`,
    `<line x1='${goal}' x2='${goal}' y1='${middle - BAR / 2 - 3}' y2='${middle + BAR / 2 + 3}' ` +
      `stroke='${COLORS.goal}' stroke-width='2'/>`,
    text(RIGHT + 14, middle + 4, `${bar.times.toFixed(bar.times < 9.95 ? 1 : 0)}×`, {
      weight: 600,
    }),
    text(RIGHT + 62, middle + 4, bar.values, { soft: 1 }),
  ].join('\n');
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} content
 * @param {{ size?: number, weight?: number, soft?: number, anchor?: string }} [style]
 */
function text(x, y, content, { size = 12, weight = 400, soft = 0, anchor = 'start' } = {}) {
  const color = soft ? COLORS.soft : COLORS.text;
  const escaped = content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
  return (
    `<text x='${x}' y='${y}' font-size='${size}' font-weight='${weight}' fill='${color}' ` +
    `text-anchor='${anchor}'>${escaped}</text>`
  );
}
