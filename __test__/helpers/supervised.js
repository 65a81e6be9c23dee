'use strict';

// Starts a supervised program and talks to it; and clients, to put it under load.

const http = require('node:http');
const https = require('node:https');
const path = require('node:path');

const { start } = require('./program.js');

module.exports = { load, request, supervised, untilStopped };

const FIXTURES = path.join(__dirname, '../fixtures/supervisor');

/**
 * @param {import('node:test').TestContext} t
 * @param {object} [options] the supervisor's
 * @param {object} [settings]
 * @param {string} [settings.app] the worker's program
 * @param {boolean} [settings.listens] whether it will listen
 */
async function supervised(t, options = {}, { app = 'app.js', listens = true, ...rest } = {}) {
  const program = start(t, path.join(FIXTURES, 'primary.js'), {
    args: [app, JSON.stringify(options)],
    ...rest,
  });
  const control = await program.next('control');
  const server = listens ? await program.next('listening') : undefined;
  return {
    program,
    port: server?.port,
    /** Tells the supervisor to do something; gives its answer. */
    async tell(action) {
      const { body, status } = await request({ port: control.port, path: `/${action}` });
      const answer = JSON.parse(body);
      if (status === 200) return answer;
      throw Object.assign(new Error(answer.message), { code: answer.code });
    },
    /** The events of that name until the last one matches. */
    async until(name, matches) {
      const events = [];
      do events.push(await program.next(name));
      while (!matches(events.at(-1)));
      return events;
    },
  };
}

/**
 * One request: a POST, if it has a body of JSON.
 * @param {http.RequestOptions & { body?: string, tls?: boolean }} options
 * @returns {Promise<{ status: number, headers: object, body: string, socket: object }>}
 */
function request({ agent = false, body: sentBody, tls = false, ...options }) {
  return new Promise((resolve, reject) => {
    const { request: send } = tls ? https : http;
    const how = sentBody ? { method: 'POST', headers: { 'content-type': 'application/json' } } : {};
    const all = { host: '127.0.0.1', rejectUnauthorized: false, agent, ...how, ...options };
    const sent = send(all, (response) => {
      const { headers, socket, statusCode: status } = response;
      let body = '';
      response.setEncoding('utf8').on('data', (part) => (body += part));
      response.on('end', () => resolve({ status, headers, body, socket }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(sentBody);
  });
}

/**
 * Clients that send one request after another until they are stopped.
 * @param {number} port
 * @param {{ keepAlive?: number, oneShot?: number, path?: string, body?: string, tls?: boolean }} clients
 * how many of each kind, and what they ask for
 */
function load(port, { keepAlive = 0, oneShot = 0, ...wanted }) {
  const result = { answered: 0, failures: [], workers: new Set() };
  const { Agent } = wanted.tls ? https : http;
  const client = (agent) => async (isOver) => {
    while (!isOver()) {
      try {
        const { body, status } = await request({ port, agent, ...wanted });
        if (status !== 200) throw new Error(`status ${status}`);
        result.workers.add(JSON.parse(body).pid);
        result.answered++;
      } catch (error) {
        result.failures.push(`${error.code ?? ''} ${error.message}`);
      }
    }
    agent.destroy?.();
  };
  return untilStopped(result, [
    ...Array.from({ length: keepAlive }, () =>
      client(new Agent({ keepAlive: true, maxSockets: 1 })),
    ),
    ...Array.from({ length: oneShot }, () => client(false)),
  ]);
}

/**
 * Runs clients, each a function that goes on until what it is called with says that it is over.
 * @param {object} result what they count in
 * @param {((isOver: () => boolean) => Promise<void>)[]} clients
 */
function untilStopped(result, clients) {
  let over = false;
  const running = clients.map((client) => client(() => over));
  return {
    result,
    async stop() {
      over = true;
      await Promise.all(running);
      return result;
    },
  };
}
