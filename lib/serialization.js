'use strict';

/**
 * A user's message as text or bytes and back: the two modes of `settings.serialization`. Only V8
 * knows `toJSON`, `Map` and `BigInt`, so this is JavaScript's.
 */

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
    let from = 0;
    let result = 0;
    const writeTexts = (/** @type {number} */ to) => {
      if (from === to) return;
      const text = to - from === 1 ? batch[from] : batch.slice(from, to).join(',');
      result = channel.sendJson(text, to - from);
    };
    for (let index = 0; index < batch.length && result >= 0; index++) {
      if (!(batch[index] instanceof Text)) continue;
      writeTexts(index);
      if (result >= 0) result = channel.sendText(batch[index].text);
      from = index + 1;
    }
    if (result >= 0) writeTexts(batch.length);
    return result;
  },

  writeHandle(channel, envelope, fd) {
    return channel.sendJsonHandle(JSON.stringify(envelope), fd);
  },

  broadcast(channel, encoded) {
    const text = encoded instanceof Text ? JSON.stringify(encoded.text) : encoded;
    return channel.broadcastJson(text);
  },
};

/** @type {Codec} */
const advanced = {
  encode(message) {
    const serializer = new Serializer();
    serializer.writeHeader();
    serializer.writeValue(message);
    return serializer.releaseBuffer();
  },

  write(channel, batch) {
    return channel.sendAdvanced(frame(batch), batch.length);
  },

  writeHandle(channel, envelope, fd) {
    return channel.sendAdvancedHandle(advanced.encode(envelope), fd);
  },

  broadcast(channel, bytes) {
    return channel.broadcastAdvanced(frame([bytes]));
  },
};

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
