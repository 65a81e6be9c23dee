'use strict';

// Starts a supervised program and talks to it; and clients, to put it under load.

const http = require('node:http');
const path = require('node:path');

const { start } = require('./program.js');

module.exports = { load, request, supervised };

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
 * One request.
 * @param {http.RequestOptions} options
 * @returns {Promise<{ status: number, headers: object, body: string, socket: object }>}
 */
function request({ agent = false, ...options }) {
  return new Promise((resolve, reject) => {
    const sent = http.get({ host: '127.0.0.1', agent, ...options }, (response) => {
      const { headers, socket, statusCode: status } = response;
      let body = '';
      response.setEncoding('utf8').on('data', (part) => (body += part));
      response.on('end', () => resolve({ status, headers, body, socket }));
      response.on('error', reject);
    });
    sent.on('error', reject);
  });
}

/**
 * Clients that send one request after another until they are stopped.
 * @param {number} port
 * @param {{ keepAlive: number, oneShot: number, path?: string }} clients how many of each kind
 */
function load(port, { keepAlive, oneShot, path: wanted = '/' }) {
  let stopped = false;
  const result = { answered: 0, failures: [], workers: new Set() };
  const client = async (agent) => {
    while (!stopped) {
      try {
        const { body, status } = await request({ port, agent, path: wanted });
        if (status !== 200) throw new Error(`status ${status}`);
        result.answered++;
        result.workers.add(JSON.parse(body).pid);
      } catch (error) {
        result.failures.push(`${error.code ?? ''} ${error.message}`);
      }
    }
    agent.destroy?.();
  };
  const running = [
    ...Array.from({ length: keepAlive }, () =>
      client(new http.Agent({ keepAlive: true, maxSockets: 1 })),
    ),
    ...Array.from({ length: oneShot }, () => client(false)),
  ];
  return {
    result,
    async stop() {
      stopped = true;
      await Promise.all(running);
      return result;
    },
  };
}
