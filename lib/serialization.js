'use strict';

/**
 * A user's message as text or bytes and back: the two modes of `settings.serialization`. Only V8
 * knows `toJSON`, `Map` and `BigInt`, so this is JavaScript's.
 */

const { types } = require('util');
const v8 = require('v8');

/** How a host object travels. */
const VIEW = 0;
const OTHER = 1;
const OUTSIDE = 2;

/** Views of at least so many bytes travel behind the message they are in, without a copy for V8. */
const LARGE_VIEW = 16 * 1024;

/** What begins outside of a message is aligned for all of these. */
const ALIGNMENT = 8;

/** Those that can travel outside, by the number that says which it is. @type {any[]} */
const VIEWS = [
  Buffer,
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
];

/** Host objects other than views travel as their own enumerable properties, as with Node's fork. */
class Serializer extends /** @type {any} */ (v8.DefaultSerializer) {
  /** @type {ArrayBufferView[]} */
  outside = [];
  largeView = LARGE_VIEW;

  _writeHostObject(/** @type {any} */ object) {
    if (!ArrayBuffer.isView(object)) {
      this.writeUint32(OTHER);
      return this.writeValue({ ...object });
    }
    const kind = object.byteLength < this.largeView ? -1 : VIEWS.indexOf(object.constructor);
    if (kind < 0) {
      this.writeUint32(VIEW);
      return super._writeHostObject(object);
    }
    this.writeUint32(OUTSIDE);
    this.writeUint32(kind);
    this.writeDouble(object.byteLength);
    return void this.outside.push(object);
  }
}

class Deserializer extends /** @type {any} */ (v8.DefaultDeserializer) {
  /** @param {Buffer} bytes @param {number} [outside] where in its memory the large views are */
  constructor(bytes, outside = 0) {
    super(bytes);
    this.memory = bytes.buffer;
    this.outside = outside;
  }

  _readHostObject() {
    switch (this.readUint32()) {
      case VIEW:
        return super._readHostObject();
      case OUTSIDE:
        return this.readOutside(VIEWS[this.readUint32()], this.readDouble());
      default:
        return this.readValue();
    }
  }

  /** @param {any} View @param {number} length */
  readOutside(View, length) {
    const at = this.outside;
    this.outside = aligned(at + length);
    if (View === Buffer) return Buffer.from(this.memory, at, length);
    return new View(this.memory, at, length / (View.BYTES_PER_ELEMENT ?? 1));
  }
}

function aligned(/** @type {number} */ size) {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
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

/** A message whose large views are not copied: to be sent before the program changes them. */
class Parts {
  /** @param {Uint8Array[]} parts */
  constructor(parts) {
    this.parts = parts;
    this.length = parts.reduce((length, part) => length + part.length, 0);
  }
}

/**
 * @typedef {object} Codec
 * @property {(message: unknown) => any} encode
 * @property {(channel: import('../native').Channel, message: unknown, fd: number) => number} writeHandle
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
    return isPlain(message, []) ? JSON.stringify(message) : serialize(message);
  },

  writeHandle(channel, envelope, fd) {
    return channel.sendAdvancedHandle(serializeWhole(envelope), fd);
  },
};

/**
 * Whether an encoded message has to leave before the program goes on.
 * @param {any} encoded
 */
function isUrgent(encoded) {
  return encoded instanceof Parts;
}

/** @param {import('../native').Channel} channel @param {any} encoded by a codec */
function writeOne(channel, encoded) {
  if (typeof encoded === 'string') return channel.sendJson(encoded, 1);
  if (encoded instanceof Text) return channel.sendText(encoded.text);
  if (encoded instanceof Parts) return channel.sendAdvanced(encoded.parts, 1);
  return channel.sendAdvanced([lengthOf(encoded), encoded], 1);
}

/** @param {import('../native').Channel} channel @param {any[]} batch encoded messages */
function write(channel, batch) {
  let result = 0;
  for (let from = 0; from < batch.length && result >= 0;) {
    let to = from + 1;
    while (to < batch.length && isAlike(batch[from], batch[to])) to++;
    const alike = from === 0 && to === batch.length ? batch : batch.slice(from, to);
    result = writeAlike(channel, alike);
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

/** @param {import('../native').Channel} channel @param {any[]} batch */
function writeAlike(channel, batch) {
  if (batch.length === 1) return writeOne(channel, batch[0]);
  if (typeof batch[0] === 'string') return channel.sendJson(batch.join(','), batch.length);
  return channel.sendAdvanced([frame(batch)], batch.length);
}

/** @param {import('../native').Channel} channel @param {any} encoded by a codec */
function broadcast(channel, encoded) {
  if (typeof encoded === 'string') return channel.broadcastJson(encoded);
  if (encoded instanceof Text) return channel.broadcastJson(JSON.stringify(encoded.text));
  const whole = encoded instanceof Parts ? Buffer.concat(encoded.parts) : frame([encoded]);
  return channel.broadcastAdvanced(whole);
}

/** @param {unknown} message @returns {Buffer | Parts} */
function serialize(message) {
  const serializer = new Serializer();
  serializer.writeHeader();
  serializer.writeValue(message);
  /** @type {Buffer} */
  const bytes = serializer.releaseBuffer();
  if (serializer.outside.length === 0) return bytes;
  /** @type {Uint8Array[]} */
  const parts = [lengthOf(bytes), bytes, padding(LENGTH + bytes.length)];
  for (const { buffer, byteOffset, byteLength } of serializer.outside) {
    parts.push(new Uint8Array(buffer, byteOffset, byteLength), padding(byteLength));
  }
  return new Parts(parts);
}

/** With nothing outside. @param {unknown} message @returns {Buffer} */
function serializeWhole(message) {
  const serializer = new Serializer();
  serializer.largeView = Infinity;
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

/** @param {Buffer} bytes @param {number} [outside] see {@link Deserializer} @returns {any} */
function decodeAdvanced(bytes, outside) {
  const deserializer = new /** @type {any} */ (Deserializer)(bytes, outside);
  deserializer.readHeader();
  return deserializer.readValue();
}

/** Each message of a batch is preceded by its length, four bytes, little-endian. */
const LENGTH = 4;

function lengthOf(/** @type {Uint8Array} */ bytes) {
  const length = Buffer.allocUnsafe(LENGTH);
  length.writeUInt32LE(bytes.length);
  return length;
}

const ZEROS = new Uint8Array(ALIGNMENT);

/** What aligns the next thing. */
function padding(/** @type {number} */ size) {
  return ZEROS.subarray(0, aligned(size) - size);
}

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
  if (count === 1) {
    // Only one that is alone has something outside.
    const outside = aligned(LENGTH + bytes.readUInt32LE(0));
    return [decodeAdvanced(bytes.subarray(LENGTH), bytes.byteOffset + outside)];
  }
  const messages = new Array(count);
  let at = 0;
  for (let index = 0; index < count; index++) {
    const end = at + LENGTH + bytes.readUInt32LE(at);
    messages[index] = decodeAdvanced(bytes.subarray(at + LENGTH, end));
    at = end;
  }
  return messages;
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
