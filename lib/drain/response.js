'use strict';

/** Makes a response of HTTP/1 the last one of its connection. */

module.exports = { makeLast };

/**
 * The answer says `Connection: close`, whatever headers the app gives it, and Node then ends the
 * connection. Nothing is done if the headers have been sent.
 * @param {any} response
 * @param {() => boolean} isLast asked when the headers are made: a client that does not wait for
 * answers may have sent another request by then, which has to be answered on this connection
 */
function makeLast(response, isLast) {
  if (response.headersSent) return;
  const { writeHead } = response;
  response.writeHead = function (/** @type {any[]} */ ...args) {
    if (!isLast()) return Reflect.apply(writeHead, this, args);
    const at = args.findIndex((argument) => argument !== null && typeof argument === 'object');
    if (at < 0) {
      this.setHeader('Connection', 'close');
    } else {
      if (this.hasHeader('Connection')) this.removeHeader('Connection');
      args[at] = withClose(args[at]);
    }
    return Reflect.apply(writeHead, this, args);
  };
}

/** @param {any} headers an object, or a list in one of two forms */
function withClose(headers) {
  const keep = (/** @type {unknown} */ name) => String(name).toLowerCase() !== 'connection';
  if (!Array.isArray(headers)) {
    const kept = Object.entries(headers).filter(([name]) => keep(name));
    return { ...Object.fromEntries(kept), Connection: 'close' };
  }
  if (Array.isArray(headers[0])) {
    return [...headers.filter(([name]) => keep(name)), ['Connection', 'close']];
  }
  const kept = headers.filter((_each, index) => keep(headers[index - (index % 2)]));
  return [...kept, 'Connection', 'close'];
}
