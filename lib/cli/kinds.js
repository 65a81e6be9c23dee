'use strict';

/**
 * The kinds of values that options have: what is allowed, how it is read from a command line, and
 * how it is said in a JSON schema.
 */

/**
 * @typedef {object} Kind
 * @property {string} allowed completes the sentence «must be …»
 * @property {string} [allowedAsText] the same, on a command line, where it differs
 * @property {(value: any) => any} read the value that is meant, or undefined if it is not allowed
 * @property {(text: string) => any} fromText what `read` gets for an argument of a command line
 * @property {object} schema
 */

/** @type {Record<string, number>} */
const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** @type {Record<string, number>} */
const BYTES = { B: 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

/** What a timer can wait for. */
const MAX_DURATION = 2 ** 31 - 1;

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const SIZE = /^(\d+(?:\.\d+)?)(B|K|M|G)(?:i?B)?$/i;

const asText = (/** @type {string} */ text) => text;
const asNumber = (/** @type {string} */ text) => (/^-?\d+$/.test(text) ? Number(text) : text);

/** @type {Record<string, Kind>} */
const KINDS = {
  workers: {
    allowed: "'auto' or a whole number (a negative one for «all CPUs but so many»)",
    read: (value) => (value === 'auto' || Number.isSafeInteger(value) ? value : undefined),
    fromText: asNumber,
    schema: { oneOf: [{ const: 'auto' }, { type: 'integer' }] },
  },
  count: {
    allowed: 'a whole number, 0 or more',
    read: (value) => (isWhole(value) ? value : undefined),
    fromText: asNumber,
    schema: { type: 'integer', minimum: 0 },
  },
  positive: {
    allowed: 'a whole number, 1 or more',
    read: (value) => (isWhole(value) && value > 0 ? value : undefined),
    fromText: asNumber,
    schema: { type: 'integer', minimum: 1 },
  },
  crashes: {
    allowed: "a whole number, 1 or more, or 'never'",
    read: (value) =>
      value === 'never' ? Infinity : isWhole(value) && value > 0 ? value : undefined,
    fromText: asNumber,
    schema: { oneOf: [{ const: 'never' }, { type: 'integer', minimum: 1 }] },
  },
  fraction: {
    allowed: 'a number from 0 to 1',
    read: (value) => (typeof value === 'number' && value >= 0 && value <= 1 ? value : undefined),
    fromText: (text) => (/^\d*\.?\d+$/.test(text) ? Number(text) : text),
    schema: { type: 'number', minimum: 0, maximum: 1 },
  },
  duration: {
    allowed:
      "milliseconds (a whole number) or a text such as '500ms', '30s', '5m', '2h' or '1d'; 24 days at most",
    read: (value) => {
      const time = isWhole(value) ? value : withUnit(value, DURATION, MILLISECONDS);
      return time === undefined || time > MAX_DURATION ? undefined : time;
    },
    fromText: asNumber,
    schema: {
      oneOf: [
        { type: 'integer', minimum: 0, maximum: MAX_DURATION },
        { type: 'string', pattern: DURATION.source },
      ],
    },
  },
  size: {
    allowed: "bytes (a whole number) or a text such as '300M' or '1.5G'",
    read: (value) => (isWhole(value) ? value : withUnit(value, SIZE, BYTES)),
    fromText: asNumber,
    schema: {
      oneOf: [
        { type: 'integer', minimum: 0 },
        { type: 'string', pattern: '^(\\d+(?:\\.\\d+)?)([BKMGbkmg])(?:[iI]?[bB])?$' },
      ],
    },
  },
  flag: {
    allowed: 'true or false',
    read: (value) => (typeof value === 'boolean' ? value : undefined),
    fromText: asText,
    schema: { type: 'boolean' },
  },
  text: {
    allowed: 'a text that is not empty',
    read: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
    fromText: asText,
    schema: { type: 'string', minLength: 1 },
  },
  variable: {
    allowed: 'the name of an environment variable (letters, digits and "_")',
    read: (value) =>
      typeof value === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value) ? value : undefined,
    fromText: asText,
    schema: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' },
  },
  texts: {
    allowed: 'a list of texts',
    read: (value) =>
      Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined,
    // As one argument of a shell; what has blanks in it can be given in a config file.
    fromText: (text) => text.split(/\s+/).filter((word) => word !== ''),
    schema: { type: 'array', items: { type: 'string' } },
  },
  variables: {
    allowed: 'an object of environment variables, each a text, a number or a boolean',
    allowedAsText: 'NAME=value',
    read: (value) => (isEnvironment(value) ? value : undefined),
    fromText: (text) => {
      const end = text.indexOf('=');
      return end > 0 ? { [text.slice(0, end)]: text.slice(end + 1) } : text;
    },
    schema: {
      type: 'object',
      additionalProperties: { type: ['string', 'number', 'boolean'] },
    },
  },
  readyOn: choice('listening', 'ready', 'online'),
  scheduling: choice('rr', 'none', 'least-connections', 'ip-hash'),
};

/** A value as an error shows it. @param {unknown} value */
function show(value) {
  if (typeof value === 'function') return 'a function';
  const text = typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** @param {string[]} names @returns {Kind} */
function choice(...names) {
  return {
    allowed: `one of ${names.map((name) => `'${name}'`).join(', ')}`,
    read: (value) => (names.includes(value) ? value : undefined),
    fromText: asText,
    schema: { enum: names },
  };
}

/** @param {unknown} value @param {RegExp} pattern @param {Record<string, number>} units */
function withUnit(value, pattern, units) {
  const found = typeof value === 'string' ? pattern.exec(value) : null;
  if (!found) return undefined;
  const [, number, unit] = found;
  return Math.round(Number(number) * (units[unit] ?? units[unit.toUpperCase()]));
}

/** @param {unknown} value @returns {value is number} */
function isWhole(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
}

/** @param {unknown} value */
function isEnvironment(value) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((each) =>
    ['string', 'number', 'boolean'].includes(typeof each),
  );
}

module.exports = { KINDS, show };
