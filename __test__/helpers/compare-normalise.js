'use strict';

// Takes out of a record what differs between two runs of one and the same program: ports, process
// ids, paths, places in the source. Which ports and processes are the same one is kept.

const path = require('node:path');

const ROOT = path.resolve(__dirname, '../..');

/** Replaces the paths in a text, and what a fatal error prints about its place in the source. */
function normaliseText(text, tmp) {
  const lines = replacePaths(text, tmp).split('\n');
  const dropped = new Set();
  lines.forEach((line, at) => {
    if (/^\s+at /.test(line) || /^Node\.js v/.test(line)) dropped.add(at);
    // The caret line, the line of source above it, and the name of the file above that.
    if (/^\s*\^+\s*$/.test(line)) [at - 2, at - 1, at].forEach((index) => dropped.add(index));
  });
  const kept = lines.filter((line, at) => !dropped.has(at));
  return kept
    .join('\n')
    .replace(/\(node:\d+\)/g, '(node:<pid>)')
    .replace(/(ws:\/\/\S+):\d+\/[-0-9a-f]+/g, '$1:<port>/<id>');
}

/**
 * Groups the entries of a log by source and gives every port and process a letter, in the order in
 * which they appear there: that order does not depend on how processes took turns.
 */
function normaliseLog(entries, tmp) {
  const bySource = {};
  const sources = [...new Set(entries.map(({ source }) => source))].sort();
  for (const source of sources) {
    bySource[source] = entries
      .filter((entry) => entry.source === source)
      .map(({ values }) => values);
  }
  const ports = new Letters('port', (key, value) => /port$/i.test(key) && value > 1023);
  const pids = new Letters('pid', (key, value) => /^p?pid$/.test(key) && value > 0);
  walk(bySource, (value, key) => {
    ports.note(key, value);
    pids.note(key, value);
    return value;
  });
  return walk(bySource, (value, key) => {
    if (typeof value === 'string') return ports.replaceIn(replacePaths(value, tmp));
    return pids.replace(key, ports.replace(key, value));
  });
}

function replacePaths(text, tmp) {
  return text
    .replaceAll(tmp, '<tmp>')
    .replaceAll(ROOT, '<root>')
    .replaceAll(process.execPath, '<node>');
}

class Letters {
  constructor(kind, isOne) {
    this.kind = kind;
    this.isOne = (key, value) => typeof value === 'number' && isOne(key, value);
    this.names = new Map();
  }

  note(key, value) {
    if (!this.isOne(key, value) || this.names.has(value)) return;
    const letter = String.fromCharCode('A'.charCodeAt(0) + this.names.size);
    this.names.set(value, `<${this.kind} ${letter}>`);
  }

  replace(key, value) {
    return this.isOne(key, value) ? this.names.get(value) : value;
  }

  /** In texts such as the message of an error. */
  replaceIn(text) {
    return text.replace(/:(\d+)\b/g, (match, digits) => {
      const name = this.names.get(Number(digits));
      return name === undefined ? match : `:${name}`;
    });
  }
}

function walk(value, change, key = '') {
  if (Array.isArray(value)) return value.map((item) => walk(item, change, key));
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).map(([name, item]) => [name, walk(item, change, name)]);
    return Object.fromEntries(entries);
  }
  return change(value, key);
}

module.exports = { normaliseLog, normaliseText };
