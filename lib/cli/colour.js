'use strict';

/** Colours, where somebody looks: on a terminal that can show them. https://no-color.org */

module.exports = { colours, emphasis, wantsColour };

/** @type {Record<string, [number, number]>} the codes that switch on and off */
const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
};

/** @typedef {Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'magenta' | 'cyan', (text: string) => string>} Colours */

/**
 * @param {{ isTTY?: boolean }} stream
 * @param {NodeJS.ProcessEnv} [env]
 */
function wantsColour(stream, env = process.env) {
  // Set to nothing it counts as not set.
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  return stream.isTTY === true && env.TERM !== 'dumb';
}

/** @param {boolean} wanted @returns {Colours} */
function colours(wanted) {
  const entries = Object.entries(STYLES).map(([name, [on, off]]) => [
    name,
    wanted ? (/** @type {string} */ text) => `\x1b[${on}m${text}\x1b[${off}m` : String,
  ]);
  return Object.fromEntries(entries);
}

/**
 * How a sentence of that level is written.
 * @param {Colours} paint
 * @param {'info' | 'warning' | 'error'} level
 * @returns {(text: string) => string}
 */
function emphasis(paint, level) {
  return { info: String, warning: paint.yellow, error: paint.red }[level];
}
