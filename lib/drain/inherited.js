'use strict';

/**
 * Lets servers listen on sockets that the primary has inherited (systemd's socket activation),
 * where the address is the one that they ask for: `listen({ fd })` in a worker means a descriptor
 * of the primary.
 */

const net = require('net');

const { matches } = require('../supervisor/listen-fds');

module.exports = { useInherited };

/** @param {import('../supervisor/listen-fds').Inherited[]} inherited */
function useInherited(inherited) {
  if (inherited.length === 0) return;
  const { listen } = net.Server.prototype;
  /** @this {any} @param {any[]} args */
  net.Server.prototype.listen = function (...args) {
    const wanted = wantedBy(args);
    const found = wanted && inherited.find((each) => matches(each, wanted));
    if (!found) return Reflect.apply(listen, this, args);
    const callback = args.find((argument) => typeof argument === 'function');
    const options = { fd: found.fd };
    return Reflect.apply(listen, this, callback ? [options, callback] : [options]);
  };
}

/**
 * The address in the arguments of `listen`, in any of its forms.
 * @param {any[]} args
 */
function wantedBy([first, second]) {
  if (first !== null && typeof first === 'object') {
    const { exclusive, fd, host, path, port } = first;
    if (exclusive || fd !== undefined) return undefined;
    return path === undefined ? { port: portOf(port), host } : { path };
  }
  if (typeof first === 'string' && portOf(first) === undefined) return { path: first };
  return { port: portOf(first), host: typeof second === 'string' ? second : undefined };
}

function portOf(/** @type {unknown} */ port) {
  if (port === undefined || port === null || port === '' || typeof port === 'function') {
    return undefined;
  }
  const number = Number(port);
  return Number.isInteger(number) && number > 0 ? number : undefined;
}
