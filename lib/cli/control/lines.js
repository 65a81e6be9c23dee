'use strict';

/** One JSON value on each line, over a socket: how the two ends of the control socket talk. */

const { StringDecoder } = require('string_decoder');

module.exports = { readLines, writeLine };

/** A line that is longer is no request of ours: the other end is something else, or broken. */
const MAX_LINE = 1024 * 1024;

/**
 * Calls back for every line; one that is not JSON, or too long, destroys the socket with an error.
 * @param {import('net').Socket} socket
 * @param {(value: any) => void} onValue
 */
function readLines(socket, onValue) {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  socket.on('data', (chunk) => {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = /** @type {string} */ (lines.pop());
    if (rest.length > MAX_LINE) socket.destroy(new Error('a line is too long'));
    for (const line of lines) {
      if (socket.destroyed) return;
      const value = parse(line);
      if (value === undefined) socket.destroy(new Error('a line is not JSON'));
      else onValue(value);
    }
  });
}

/** @param {import('net').Socket} socket @param {object} value */
function writeLine(socket, value) {
  // The other end may have gone away meanwhile; what it asked for is done all the same.
  if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
}

/** @param {string} line @returns {any} */
function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
