'use strict';

/** What a worker prints, line by line. */

const { StringDecoder } = require('string_decoder');

module.exports = { eachLine };

/** A longer line is passed on in pieces: without an end, it would fill the memory. */
const MAX_LINE = 64 * 1024;

/**
 * @param {import('stream').Readable} stream
 * @param {(line: string) => void} onLine
 */
function eachLine(stream, onLine) {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream.on('data', (chunk) => {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = /** @type {string} */ (lines.pop());
    for (const line of lines) onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
    while (rest.length > MAX_LINE) {
      onLine(rest.slice(0, MAX_LINE));
      rest = rest.slice(MAX_LINE);
    }
  });
  // The last words of a process that died in the middle of a line.
  stream.on('end', () => {
    rest += decoder.end();
    if (rest !== '') onLine(rest);
  });
}
