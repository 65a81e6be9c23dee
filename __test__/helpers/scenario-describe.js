'use strict';

// Turns any value into plain JSON in which nothing that a program could observe is lost: undefined
// stays different from an absent key, an Error keeps its code, a typed array its kind. Done in the
// process that logs, at once, so that a later change of the value does not show.

const { createHash } = require('node:crypto');
const { EventEmitter } = require('node:events');
const { types } = require('node:util');

const LONG = 300;

function describe(value, cluster, seen = new Set()) {
  if (typeof value === 'string') return describeString(value);
  if (typeof value === 'number') {
    return Number.isFinite(value) && !Object.is(value, -0)
      ? value
      : `<number ${inspectZero(value)}>`;
  }
  if (value === null || typeof value === 'boolean') return value;
  if (value === undefined || typeof value === 'function') return `<${typeof value}>`;
  if (typeof value !== 'object') return `<${typeof value} ${String(value)}>`;
  if (seen.has(value)) return '<circular>';
  seen.add(value);
  const inner = (item) => describe(item, cluster, seen);
  const described = describeObject(value, cluster, inner);
  seen.delete(value);
  return described;
}

function inspectZero(value) {
  return Object.is(value, -0) ? '-0' : String(value);
}

function describeString(value) {
  if (value.length <= LONG) return value;
  const sum = createHash('sha1').update(value).digest('hex').slice(0, 12);
  return `<string of ${value.length}, sha1 ${sum}>`;
}

function describeObject(value, cluster, inner) {
  if (value === process) return '<process>';
  if (value === cluster) return '<cluster>';
  if (cluster && value instanceof cluster.Worker) return `<Worker ${value.id}>`;
  if (types.isNativeError(value)) return describeError(value, inner);
  if (Array.isArray(value)) return value.map(inner);
  if (ArrayBuffer.isView(value)) return describeBytes(value);
  if (types.isAnyArrayBuffer(value)) {
    return `<${value.constructor.name} ${Buffer.from(value).toString('hex')}>`;
  }
  if (types.isMap(value)) return { '<Map>': [...value].map(inner) };
  if (types.isSet(value)) return { '<Set>': [...value].map(inner) };
  if (types.isDate(value)) return `<Date ${JSON.stringify(value)}>`;
  if (types.isRegExp(value)) return `<RegExp ${value}>`;
  if (types.isBoxedPrimitive(value)) return `<${value.constructor.name} ${String(value)}>`;
  const prototype = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!isPlain || value instanceof EventEmitter) return `<${value.constructor.name}>`;
  return Object.fromEntries(Object.keys(value).map((key) => [key, inner(value[key])]));
}

function describeBytes(view) {
  const kind = Buffer.isBuffer(view) ? 'Buffer' : view.constructor.name;
  const bytes = Buffer.from(view.buffer, view.byteOffset, view.byteLength);
  return `<${kind} ${describeString(bytes.toString('hex'))}>`;
}

// The stack names files, which differ; everything else about an error is the same or a mistake.
function describeError(error, inner) {
  const own = Object.fromEntries(Object.keys(error).map((key) => [key, inner(error[key])]));
  return { '<error>': error.name, message: inner(error.message), code: inner(error.code), ...own };
}

module.exports = { describe };
