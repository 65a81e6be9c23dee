'use strict';

/**
 * A user's message as text or bytes and back: the two modes of `settings.serialization`. Only V8
 * knows `toJSON`, `Map` and `BigInt`, so this is JavaScript's.
 */

const { types } = require('util');

/** Most workers never need it. @returns {typeof import('./structured')} */
const structured = () => require('./structured');

/** A string at least this long is worth its own way. */
const LONG_STRING = 1024;

/** A message that is a long string: it needs no quoting and no parsing. */
class Text {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.length = text.length;
  }
}

/**
 * @typedef {object} Codec
 * @property {(message: unknown) => any} encode
 * @property {(channel: import('../native').Channel, message: unknown, fd: number) => number} writeHandle
 */

/**
 * The part of a channel that sends what was encoded.
 * @typedef {object} Sender
 * @property {(text: string, count: number) => number} sendJson
 * @property {(text: string) => number} sendText
 * @property {(parts: Uint8Array[], count: number) => number} sendAdvanced
 */

/** @type {Codec} */
const json = {
  encode(message) {
    if (typeof message === 'string' && message.length >= LONG_STRING) return new Text(message);
    const text = JSON.stringify(message);
    if (text !== undefined) return text;
    throw new TypeError('The message cannot be sent: its toJSON() returns undefined');
  },

  writeHandle(channel, envelope, fd) {
    return channel.sendJsonHandle(JSON.stringify(envelope), fd);
  },
};

/** @type {Codec} */
const advanced = {
  encode(message) {
    if (typeof message === 'string' && message.length >= LONG_STRING) return new Text(message);
    // V8 takes several times as long for what JSON carries just as well.
    return isPlain(message, []) ? JSON.stringify(message) : structured().serialize(message);
  },

  writeHandle(channel, envelope, fd) {
    return channel.sendAdvancedHandle(structured().serializeWhole(envelope), fd);
  },
};

/**
 * Whether an encoded message has to leave before the program goes on.
 * @param {any} encoded
 */
function isUrgent(encoded) {
  return encoded.parts !== undefined;
}

/** @param {Sender} sender @param {any} encoded by a codec */
function writeOne(sender, encoded) {
  if (typeof encoded === 'string') return sender.sendJson(encoded, 1);
  if (encoded instanceof Text) return sender.sendText(encoded.text);
  if (isUrgent(encoded)) return sender.sendAdvanced(encoded.parts, 1);
  return sender.sendAdvanced([structured().lengthOf(encoded), encoded], 1);
}

/** @param {Sender} sender @param {any[]} batch encoded messages */
function write(sender, batch) {
  let result = 0;
  for (let from = 0; from < batch.length && result >= 0;) {
    let to = from + 1;
    while (to < batch.length && isAlike(batch[from], batch[to])) to++;
    const alike = from === 0 && to === batch.length ? batch : batch.slice(from, to);
    result = writeAlike(sender, alike);
    from = to;
  }
  return result;
}

/** Whether two encoded messages can be in one frame. */
function isAlike(/** @type {any} */ one, /** @type {any} */ other) {
  return typeof one === 'string' ? typeof other === 'string' : isBytes(one) && isBytes(other);
}

function isBytes(/** @type {any} */ encoded) {
  return encoded instanceof Uint8Array;
}

/** @param {Sender} sender @param {any[]} batch */
function writeAlike(sender, batch) {
  if (batch.length === 1) return writeOne(sender, batch[0]);
  if (typeof batch[0] === 'string') return sender.sendJson(batch.join(','), batch.length);
  return sender.sendAdvanced([structured().frame(batch)], batch.length);
}

/** @param {import('../native').Channel} channel @param {any} encoded by a codec */
function broadcast(channel, encoded) {
  if (typeof encoded === 'string') return channel.broadcastJson(encoded);
  if (encoded instanceof Text) return channel.broadcastJson(JSON.stringify(encoded.text));
  const whole = isUrgent(encoded) ? Buffer.concat(encoded.parts) : structured().frame([encoded]);
  return channel.broadcastAdvanced(whole);
}

/** Objects with more properties, or in more levels, are left to V8: looking at them costs as well. */
const MAX_PLAIN = 16;

/**
 * Whether the receiver could not tell if the message came as JSON: primitives that JSON has, in plain
 * objects, none of them twice.
 * @param {any} value
 * @param {object[]} seen
 * @returns {boolean}
 */
function isPlain(value, seen) {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      return value === null || isPlainObject(value, seen);
    default:
      return false;
  }
}

/** @param {any} object @param {object[]} seen */
function isPlainObject(object, seen) {
  if (Object.getPrototypeOf(object) !== Object.prototype || seen.includes(object)) return false;
  if (seen.push(object) > MAX_PLAIN || types.isProxy(object)) return false;
  const keys = Object.keys(object);
  if (keys.length > MAX_PLAIN || typeof object.toJSON === 'function') return false;
  for (const key of keys) {
    // A getter is the program's own code: it runs once, when the message is serialized.
    const { value, get } = /** @type {any} */ (Object.getOwnPropertyDescriptor(object, key));
    if (get !== undefined || !isPlain(value, seen)) return false;
  }
  return true;
}

/** @param {string} text @param {number} count @returns {any[]} */
function decodeJson(text, count) {
  return count === 1 ? [JSON.parse(text)] : JSON.parse(`[${text}]`);
}

/** @param {Buffer} bytes @returns {any} */
function decodeAdvanced(bytes) {
  return structured().decode(bytes);
}

/** @param {Buffer} bytes @param {number} count @returns {any[]} */
function decodeAdvancedBatch(bytes, count) {
  return structured().decodeBatch(bytes, count);
}

module.exports = {
  advanced,
  broadcast,
  decodeAdvanced,
  decodeAdvancedBatch,
  decodeJson,
  isUrgent,
  json,
  write,
  writeOne,
};
