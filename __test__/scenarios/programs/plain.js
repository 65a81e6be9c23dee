'use strict';

// A worker that loads no cluster at all: it listens, answers, sends and receives, and that is all.

const net = require('node:net');

const keys = Object.keys(process.env).sort();
const server = net.createServer((socket) => socket.end('plain'));
server.listen(0, '127.0.0.1', () => {
  process.send({ keys, execArgv: process.execArgv, argv: process.argv.slice(2) });
});
process.on('message', (message) => process.send({ echo: message }));
