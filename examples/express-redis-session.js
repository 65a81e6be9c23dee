'use strict';

// Express with its sessions in Redis: whoever answers knows who asks.
//
//   node examples/express-redis-session.js   (PORT=8080 REDIS_URL=redis://localhost:6379 node ...)
//
// Workers have no memory in common. A session that is kept in one of them is unknown to the others,
// and gone when it ends; Redis keeps it for all. The count of your visits goes on
//
//   curl -b jar -c jar localhost:3000        though another worker answers each time
//   kill -9 PID                              though a worker is killed
//   kill -HUP PID                            though the primary replaces them all
//
// Ctrl-C ends it. SESSION_SECRET makes sessions outlive that, too.

const crypto = require('node:crypto');
const cluster = require('rust-cluster');
const { RedisStore } = require('connect-redis');
const express = require('express');
const session = require('express-session');
const { createClient } = require('redis');
const lifecycle = require('./lifecycle');

const { REDIS_URL = 'redis://localhost:6379' } = process.env;

if (cluster.isPrimary) supervise();
else serve();

async function supervise() {
  lifecycle.supervised();
  await checkRedis();

  // It signs the cookies: all workers must have the same, those that come later as well.
  const { SESSION_SECRET = crypto.randomBytes(32).toString('hex') } = process.env;
  const supervisor = cluster.supervise({ env: { SESSION_SECRET } });

  cluster.on('listening', ({ slot, process: { pid } }, { port }) => {
    console.log(`worker ${slot} (pid ${pid}) on http://localhost:${port}`);
  });
  supervisor.on('running', ({ workers }) => {
    console.log(`${workers} workers; reload them with: kill -HUP ${process.pid}`);
  });
}

/** Says what is wrong, once, rather than in each worker. */
async function checkRedis() {
  try {
    const redis = createClient({ url: REDIS_URL, socket: { reconnectStrategy: false } });
    redis.on('error', () => {}); // connect() rejects with it
    await redis.connect();
    await redis.close();
  } catch ({ code, message }) {
    const where = REDIS_URL.replace(/\/\/.*@/, '//'); // no password on the screen
    console.error(`Redis is not reachable at ${where}: ${code ?? message}.`);
    console.error('Start it (redis-server), or say where it is (REDIS_URL=redis://host:6379).');
    process.exit(1);
  }
}

async function serve() {
  // Without the queue a command fails at once while Redis is away, and nobody waits for an answer.
  const redis = createClient({ url: REDIS_URL, disableOfflineQueue: true });
  redis.on('error', () => {}); // it connects again by itself
  await redis.connect();

  const app = express();
  app.use(
    session({
      store: new RedisStore({ client: redis }),
      secret: process.env.SESSION_SECRET,
      resave: false,
      saveUninitialized: false,
    }),
  );
  app.get('/', (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    const { visits } = request.session;
    response
      .type('text')
      .send(`Visit ${visits}, answered by worker ${cluster.worker.slot} (pid ${process.pid})\n`);
  });
  app.use((error, _request, response, next) => {
    if (redis.isReady) next(error);
    else response.status(503).type('text').send('Redis is not reachable.\n');
  });

  const server = app.listen(lifecycle.port);
  lifecycle.worker(server);
  // A worker that goes has requests to finish, and they need Redis; then it would keep the process.
  server.on('close', () => redis.close());
}
