'use strict';

/**
 * A user's message as text or bytes and back: the two modes of `settings.serialization`. Only V8
 * knows `toJSON`, `Map` and `BigInt`, so this is JavaScript's.
 */

const { types } = require('util');
const v8 = require('v8');

const VIEW = 0;
const OTHER = 1;

/** Host objects other than views travel as their own enumerable properties, as with Node's fork. */
class Serializer extends /** @type {any} */ (v8.DefaultSerializer) {
  _writeHostObject(/** @type {any} */ object) {
    if (ArrayBuffer.isView(object)) {
      this.writeUint32(VIEW);
      return super._writeHostObject(object);
    }
    this.writeUint32(OTHER);
    return this.writeValue({ ...object });
  }
}

class Deserializer extends /** @type {any} */ (v8.DefaultDeserializer) {
  _readHostObject() {
    if (this.readUint32() === VIEW) return super._readHostObject();
    return this.readValue();
  }
}

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
 * @property {(channel: import('../native').Channel, batch: any[]) => number} write
 * @property {(channel: import('../native').Channel, message: unknown, fd: number) => number} writeHandle
 * @property {(channel: import('../native').Channel, encoded: any) => number} broadcast
 */

/** @type {Codec} */
const json = {
  encode(message) {
    // UTF-8 cannot carry half of a surrogate pair, which JSON escapes.
    if (typeof message === 'string' && message.length >= LONG_STRING && isWellFormed(message)) {
      return new Text(message);
    }
    const text = JSON.stringify(message);
    if (text !== undefined) return text;
    throw new TypeError('The message cannot be sent: its toJSON() returns undefined');
  },

  write(channel, batch) {
    if (batch.length === 1) return writeOne(channel, batch[0]);
    let result = 0;
    for (let from = 0; from < batch.length && result >= 0;) {
      let to = from + 1;
      while (to < batch.length && isAlike(batch[from], batch[to])) to++;
      result = writeAlike(
        channel,
        from === 0 && to === batch.length ? batch : batch.slice(from, to),
      );
      from = to;
    }
    return result;
  },

  writeHandle(channel, envelope, fd) {
    return channel.sendJsonHandle(JSON.stringify(envelope), fd);
  },

  broadcast(channel, encoded) {
    if (Buffer.isBuffer(encoded)) return channel.broadcastAdvanced(frame([encoded]));
    const text = encoded instanceof Text ? JSON.stringify(encoded.text) : encoded;
    return channel.broadcastJson(text);
  },
};

/** Whether two encoded messages can be in one frame. */
function isAlike(/** @type {any} */ one, /** @type {any} */ other) {
  return typeof one === typeof other && !(one instanceof Text) && !(other instanceof Text);
}

/** @param {import('../native').Channel} channel @param {any} encoded */
function writeOne(channel, encoded) {
  if (typeof encoded === 'string') return channel.sendJson(encoded, 1);
  if (encoded instanceof Text) return channel.sendText(encoded.text);
  return channel.sendAdvancedOne(encoded);
}

/** @param {import('../native').Channel} channel @param {any[]} batch */
function writeAlike(channel, batch) {
  if (batch.length === 1) return writeOne(channel, batch[0]);
  if (typeof batch[0] === 'string') return channel.sendJson(batch.join(','), batch.length);
  return channel.sendAdvanced(frame(batch), batch.length);
}

/** @type {Codec} */
const advanced = {
  encode(message) {
    // V8 takes several times as long for what JSON carries just as well.
    return isPlain(message, []) ? JSON.stringify(message) : serialize(message);
  },

  write: json.write,

  writeHandle(channel, envelope, fd) {
    return channel.sendAdvancedHandle(serialize(envelope), fd);
  },

  broadcast: json.broadcast,
};

/** @param {unknown} message @returns {Buffer} */
function serialize(message) {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(message);
  return serializer.releaseBuffer();
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
  for (const key of keys) if (!isPlain(object[key], seen)) return false;
  return true;
}

/** @param {string} text @param {number} count @returns {any[]} */
function decodeJson(text, count) {
  return count === 1 ? [JSON.parse(text)] : JSON.parse(`[${text}]`);
}

/** @param {Buffer} bytes @returns {any} */
function decodeAdvanced(bytes) {
  const deserializer = new /** @type {any} */ (Deserializer)(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

/** Each message of a batch is preceded by its length, four bytes, little-endian. */
const LENGTH = 4;

/** @param {Buffer[]} batch */
function frame(batch) {
  let size = 0;
  for (const bytes of batch) size += LENGTH + bytes.length;
  const framed = Buffer.allocUnsafe(size);
  let at = 0;
  for (const bytes of batch) {
    framed.writeUInt32LE(bytes.length, at);
    framed.set(bytes, at + LENGTH);
    at += LENGTH + bytes.length;
  }
  return framed;
}

/** @param {Buffer} bytes @param {number} count @returns {any[]} */
function decodeAdvancedBatch(bytes, count) {
  const messages = new Array(count);
  let at = 0;
  for (let index = 0; index < count; index++) {
    const end = at + LENGTH + bytes.readUInt32LE(at);
    messages[index] = decodeAdvanced(bytes.subarray(at + LENGTH, end));
    at = end;
  }
  return messages;
}

/** `String.prototype.isWellFormed` is in all Nodes from 20 on, but not in the language's types. */
function isWellFormed(/** @type {any} */ text) {
  return text.isWellFormed();
}

module.exports = { advanced, decodeAdvanced, decodeAdvancedBatch, decodeJson, json };
