'use strict';

// What scenarios need again and again and what has nothing to do with a cluster.

const { randomInt } = require('node:crypto');
const dgram = require('node:dgram');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');

/** Waits for so many events and gives their arguments. */
function times(emitter, event, count) {
  const seen = [];
  return new Promise((resolve) => {
    emitter.on(event, function onEvent(...args) {
      seen.push(args);
      if (seen.length < count) return;
      emitter.removeListener(event, onEvent);
      resolve(seen);
    });
  });
}

/** How a worker ended, also when it has done so already. */
async function exitOf(worker) {
  if (!worker.isDead()) return once(worker, 'exit');
  return [worker.process.exitCode, worker.process.signalCode];
}

/** Waits until so many workers are gone altogether: dead and disconnected, whichever is first. */
async function gone(cluster, count) {
  const ends = [times(cluster, 'exit', count), times(cluster, 'disconnect', count)];
  const [exits] = await Promise.all(ends);
  return exits;
}

/** Connects and gives all that the server says until it ends, or the code of the error. */
function ask(address) {
  return new Promise((resolve) => {
    const socket = net.connect(address);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (data) => (text += data));
    socket.on('error', (error) => resolve(error.code));
    socket.on('close', () => resolve(text));
  });
}

/** Below those that the system gives to whoever asks for none, so nobody gets one by chance. */
const OWN_PORTS = [20_000, 32_000];

/** A port that is free at this moment. Only for what cannot be done with port 0. */
function freePort(host = '127.0.0.1') {
  return firstFree((port) => net.createServer().listen(port, host));
}

/** A UDP port that is free at this moment. */
function freeUdpPort() {
  return firstFree((port) => dgram.createSocket('udp4').bind(port, '127.0.0.1'));
}

async function firstFree(bind) {
  for (;;) {
    const port = randomInt(...OWN_PORTS);
    const socket = bind(port);
    try {
      await once(socket, 'listening');
    } catch (error) {
      if (error.code === 'EADDRINUSE') continue;
      throw error;
    }
    socket.close();
    await once(socket, 'close');
    return port;
  }
}

/** A server of the process itself, not of the cluster, whose connections are not read from yet. */
async function serveApart(onConnection) {
  const server = net.createServer({ pauseOnConnect: true }, onConnection);
  server.listen({ port: 0, host: '127.0.0.1', exclusive: true });
  await once(server, 'listening');
  return server;
}

/** The facts of an error that do not depend on who made it. */
function factsOf(error) {
  const { name, message, code, syscall, address, port } = error;
  return { name, message, code, syscall, address, port };
}

/** Whether an unprivileged user can read the file, and so be given it to run. */
function isReadableByAll(file) {
  const parent = path.dirname(file);
  if (parent !== file && !isReadableByAll(parent)) return false;
  return (fs.statSync(file).mode & 0o005) !== 0;
}

/** Whether ports below 1024 are closed to ordinary users on this system. */
function hasPrivilegedPorts() {
  const file = '/proc/sys/net/ipv4/ip_unprivileged_port_start';
  const start = fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 1024;
  return start > 42 && isReadableByAll(__filename) && isReadableByAll(process.execPath);
}

/** Whether there is an IPv6 loopback. */
function hasIPv6() {
  const { networkInterfaces } = require('node:os');
  return Object.values(networkInterfaces())
    .flat()
    .some(({ family }) => family === 'IPv6');
}

/** Whether this Node is at least of that version. */
function isNode(major, minor = 0) {
  const [hasMajor, hasMinor] = process.versions.node.split('.').map(Number);
  return hasMajor > major || (hasMajor === major && hasMinor >= minor);
}

/** The table's entries once for each way of sharing connections. */
function underBothPolicies(entriesFor) {
  const tables = ['rr', 'none'].map((policy) => {
    const label = policy === 'rr' ? 'round robin' : 'shared handle';
    const entries = Object.entries(entriesFor(policy)).map(([name, scenario]) => {
      const env = { ...scenario.env, NODE_CLUSTER_SCHED_POLICY: policy };
      return [`${name} (${label})`, { ...scenario, env }];
    });
    return Object.fromEntries(entries);
  });
  return Object.assign({}, ...tables);
}

module.exports = {
  ask,
  exitOf,
  factsOf,
  freePort,
  freeUdpPort,
  gone,
  hasIPv6,
  hasPrivilegedPorts,
  isNode,
  isReadableByAll,
  once,
  serveApart,
  times,
  underBothPolicies,
};
