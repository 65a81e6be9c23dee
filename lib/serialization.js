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

module.exports = {
  json: {
    /** @param {unknown} message @returns {string} */
    encode(message) {
      const text = JSON.stringify(message);
      if (text !== undefined) return text;
      throw new TypeError('The message cannot be sent: its toJSON() returns undefined');
    },

    /** @param {string} text @returns {any} */
    decode(text) {
      return JSON.parse(text);
    },
  },

  advanced: {
    /** @param {unknown} message @returns {Buffer} */
    encode(message) {
      const serializer = new Serializer();
      serializer.writeHeader();
      serializer.writeValue(message);
      return serializer.releaseBuffer();
    },

    /** @param {Buffer} bytes @returns {any} */
    decode(bytes) {
      const deserializer = new /** @type {any} */ (Deserializer)(bytes);
      deserializer.readHeader();
      return deserializer.readValue();
    },
  },
};
