'use strict';

/**
 * Sockets that a service manager has opened and passed on: `LISTEN_FDS` of them, from descriptor 3
 * on, if `LISTEN_PID` is this process. https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html
 */

const fs = require('fs');

module.exports = { listeningPortsOf, matches, parseAddress, takeInherited };

/**
 * @typedef {object} Inherited
 * @property {number} fd
 * @property {string} [host] without brackets
 * @property {number} [port]
 * @property {string} [path] of a Unix socket
 */

const FIRST_FD = 3;
/** TCP_LISTEN, as the kernel's tables have it. */
const LISTENING = '0A';

/**
 * What was passed to this process. The variables are removed: they are not for its children.
 * @returns {Inherited[]}
 */
function takeInherited() {
  const { LISTEN_FDS, LISTEN_PID } = process.env;
  for (const name of ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES']) delete process.env[name];
  const count = Number(LISTEN_FDS);
  if (Number(LISTEN_PID) !== process.pid || !(count > 0)) return [];
  const addresses = listeningSockets();
  return Array.from({ length: count }, (_each, index) => FIRST_FD + index).flatMap((fd) => {
    const address = addresses.get(inodeOf(fd));
    return address ? [{ fd, ...address }] : [];
  });
}

/**
 * Whether a socket is what a server asks for. Without a host, any address of that port will do: two
 * sockets could not share it anyway.
 * @param {Inherited} inherited
 * @param {{ host?: string, port?: number, path?: string }} wanted
 */
function matches({ host, port, path }, wanted) {
  if (wanted.path !== undefined) return path === wanted.path;
  if (port === undefined || port !== wanted.port) return false;
  if (wanted.host === undefined || wanted.host === '' || wanted.host === host) return true;
  if (wanted.host === 'localhost') return host === '127.0.0.1' || host === '::1';
  return isAny(wanted.host) && isAny(host);
}

function isAny(/** @type {string | undefined} */ host) {
  return host === '::' || host === '0.0.0.0';
}

/** The TCP ports on which another process listens. @returns {number[]} */
function listeningPortsOf(/** @type {number} */ pid) {
  const sockets = listeningSockets();
  const ports = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => sockets.get(inodeOf(fd, pid))?.port);
  return ports.filter((port) => port !== undefined);
}

/**
 * The kernel's name for what a descriptor is.
 * @param {number | string} fd
 * @param {number | 'self'} [pid]
 */
function inodeOf(fd, pid = 'self') {
  try {
    return /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
  } catch {
    return undefined;
  }
}

/** The addresses of all listening sockets, by inode. */
function listeningSockets() {
  const found = new Map();
  for (const table of ['tcp', 'tcp6']) {
    for (const line of linesOf(table)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === LISTENING) found.set(inode, parseAddress(local));
    }
  }
  for (const line of linesOf('unix')) {
    // Num RefCount Protocol Flags Type St Inode Path
    const match = /^\S+ \S+ \S+ \S+ \S+ \S+ +(\d+) (.+)$/.exec(line);
    if (match) found.set(match[1], { path: match[2] });
  }
  return found;
}

function linesOf(/** @type {string} */ table) {
  try {
    return fs.readFileSync(`/proc/self/net/${table}`, 'utf8').split('\n').slice(1, -1);
  } catch {
    return [];
  }
}

/**
 * An address as the kernel prints it: 32-bit words in the machine's byte order (little-endian on
 * all platforms that we are built for), and the port in hexadecimal.
 */
function parseAddress(/** @type {string} */ text) {
  const [address, port] = text.split(':');
  const words = address.match(/.{8}/g) ?? [];
  const bytes = Buffer.concat(words.map((word) => Buffer.from(word, 'hex').reverse()));
  return { host: bytes.length === 4 ? bytes.join('.') : ipv6(bytes), port: parseInt(port, 16) };
}

function ipv6(/** @type {Buffer} */ bytes) {
  const groups = Array.from({ length: 8 }, (_each, at) => bytes.readUInt16BE(at * 2).toString(16));
  // The URL parser knows how to shorten it.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
