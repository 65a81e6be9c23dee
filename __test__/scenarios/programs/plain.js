'use strict';

// A worker that loads no cluster at all: it listens, answers, sends and receives, and that is all.

const net = require('node:net');
const path = require('node:path');

const keys = Object.keys(process.env).sort();
// An addon's file has to stay: one that is loaded twice is initialized twice.
const scripts = Object.keys(require.cache).filter((file) => !file.endsWith('.node'));
const modules = scripts.map((file) => path.basename(file));
const server = net.createServer((socket) => socket.end('plain'));
server.listen(0, '127.0.0.1', () => {
  process.send({ keys, modules, execArgv: process.execArgv, argv: process.argv.slice(2) });
});
process.on('message', (message) => process.send({ echo: message }));
