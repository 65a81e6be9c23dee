'use strict';

/** The messages that are sent, and what V8 alone needs for them. */

const v8 = require('node:v8');

const MEGABYTE = 1024 * 1024;

/** By name: for each number a message. @type {Record<string, () => (n: number) => any>} */
const PAYLOADS = {
  small: () => (n) => ({ cmd: 'count', n }),
  // One byte a character in V8 and in UTF-8.
  ascii: () => always('The quick brown fox jumps over the lazy dog. '.repeat(MEGABYTE / 45)),
  // One byte a character in V8, some of them two in UTF-8.
  latin1: () => always('Zwölf Boxkämpfer jagen Viktor über den Deich. '.repeat(MEGABYTE / 49)),
  // Two bytes a character.
  'two-byte': () => always('Съешь ещё этих мягких французских булок. '.repeat(MEGABYTE / 75)),
  buffer: () => always(Buffer.alloc(MEGABYTE, 'buffer')),
};

/** @param {any} message */
function always(message) {
  return () => message;
}

/** @param {string} name */
function messageOf(name) {
  return PAYLOADS[name]();
}

/**
 * Microseconds of CPU that V8 needs to make one message into JSON (or its own format) and to read
 * it again, without any channel.
 * @param {string} name
 * @param {'json' | 'advanced'} serialization
 * @param {number} count
 */
function alone(name, serialization, count) {
  const message = messageOf(name);
  const pass = (/** @type {number} */ n) =>
    serialization === 'json'
      ? JSON.parse(JSON.stringify(message(n)))
      : v8.deserialize(v8.serialize(message(n)));
  for (let n = 0; n < count; n++) pass(n);
  const start = process.cpuUsage();
  for (let n = 0; n < count; n++) pass(n);
  const { user, system } = process.cpuUsage(start);
  return (user + system) / count;
}

// As a program: measures and prints, so that it can run on any Node.
if (require.main === module) {
  const { name, serialization, count } = JSON.parse(process.argv[2]);
  process.send?.({ alone: alone(name, serialization, count) });
  process.disconnect?.();
}

module.exports = { messageOf };
