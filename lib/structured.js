'use strict';

/**
 * Messages as V8's structured clone has them, for the mode 'advanced' and what JSON cannot carry.
 * Loaded when the first is sent or received. https://nodejs.org/api/v8.html#serialization-api
 */

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

/** A message whose large views are not copied: to be sent before the program changes them. */
class Parts {
  /** @param {Uint8Array[]} parts */
  constructor(parts) {
    this.parts = parts;
    this.length = parts.reduce((length, part) => length + part.length, 0);
  }
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

/** @param {Buffer} bytes @param {number} [outside] see {@link Deserializer} @returns {any} */
function decode(bytes, outside) {
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
function decodeBatch(bytes, count) {
  if (count === 1) {
    // Only one that is alone has something outside.
    const outside = aligned(LENGTH + bytes.readUInt32LE(0));
    return [decode(bytes.subarray(LENGTH), bytes.byteOffset + outside)];
  }
  const messages = new Array(count);
  let at = 0;
  for (let index = 0; index < count; index++) {
    const end = at + LENGTH + bytes.readUInt32LE(at);
    messages[index] = decode(bytes.subarray(at + LENGTH, end));
    at = end;
  }
  return messages;
}

module.exports = { Parts, decode, decodeBatch, frame, lengthOf, serialize, serializeWhole };
