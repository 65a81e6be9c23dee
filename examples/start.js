'use strict';

// The first thing to run: an Express app on all cores, and a look at which worker answers.
//
//   npm start                                (another port: PORT=8080 npm start)
//
// The server is express.js. This file waits until all its workers listen, sends it some requests,
// each on a connection of its own, and shows how they were shared out. Then the server is yours,
// until Ctrl-C.

const cluster = require('rust-cluster');
require('./express');

const REQUESTS = 200;
const CLIENTS = 8;

if (cluster.isPrimary) {
  const listening = new Set();
  cluster.on('listening', (worker, { port }) => {
    listening.add(worker);
    if (listening.size === Object.keys(cluster.workers).length) {
      demonstrate(`http://localhost:${port}`);
    }
  });
}

async function demonstrate(url) {
  try {
    const answers = [];
    const client = async () => {
      for (let n = 0; n < REQUESTS / CLIENTS; n++) answers.push(await ask(url));
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    console.log(`\n${REQUESTS} requests, each on a new connection:\n\n${table(answers)}\n`);
    console.log(`Open ${url}, or repeat: curl ${url}`);
    console.log('Ctrl-C stops the server.');
  } catch (error) {
    console.log(`Not all requests were answered: ${error.cause?.code ?? error.message}.`);
  }
}

async function ask(url) {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return response.text();
}

/** A line for each different answer: how often it came, and what it was. */
function table(answers) {
  const { compare } = new Intl.Collator('en', { numeric: true }); // worker 2 before worker 10
  const counts = new Map();
  for (const answer of answers.sort(compare)) counts.set(answer, (counts.get(answer) ?? 0) + 1);

  const width = String(answers.length).length;
  const lines = Array.from(counts, ([answer, n]) => `  ${String(n).padStart(width)} × ${answer}`);
  return lines.join('').trimEnd();
}
