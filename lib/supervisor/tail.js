'use strict';

/** The last lines of what goes through a stream. */

const MAX_LINES = 20;
const MAX_LENGTH = 1000;

class Tail {
  /** @type {string[]} */
  #lines = [];
  #rest = '';

  add(/** @type {string} */ text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = (lines.pop() ?? '').slice(-MAX_LENGTH);
    this.#lines = [...this.#lines, ...lines.map(shorten)].slice(-MAX_LINES);
  }

  get lines() {
    const rest = this.#rest === '' ? [] : [shorten(this.#rest)];
    return [...this.#lines, ...rest].slice(-MAX_LINES);
  }
}

function shorten(/** @type {string} */ line) {
  const text = line.trimEnd();
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text;
}

module.exports = { Tail };
