'use strict';

// TLS: workers must be able to resume each other's sessions.

const path = require('node:path');
const tls = require('node:tls');
const { readFileSync } = require('node:fs');
const { execFileSync, spawnSync } = require('node:child_process');
const { once, times, underBothPolicies } = require('../helpers/scenario-tools');

const supported = () => spawnSync('openssl', ['version']).status === 0;

/** A key and a certificate for the run; none lie about in the repository. */
function makeCertificate(directory) {
  const [key, cert] = ['key', 'cert'].map((name) => path.join(directory, name));
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  args.push('-nodes', '-days', '1', '-subj', '/CN=localhost', '-keyout', key, '-out', cert);
  execFileSync('openssl', args, { stdio: 'ignore' });
}

function connect(port, session) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ port, session, rejectUnauthorized: false });
    let latest = session;
    let id = '';
    socket.on('session', (ticket) => (latest = ticket));
    socket.on('data', (data) => (id += data));
    socket.on('error', reject);
    socket.on('end', () => {
      resolve({ session: latest, isReused: socket.isSessionReused(), id });
    });
  });
}

module.exports = underBothPolicies((policy) => ({
  'a session that one worker began is resumed by all': {
    supported,
    async primary({ cluster, log, tmp }) {
      makeCertificate(tmp);
      let port;
      for (let n = 0; n < 4; n += 1) [{ port }] = await once(cluster.fork(), 'listening');
      let session;
      const seen = [];
      const ids = new Set();
      for (let n = 0; n < 9; n += 1) {
        const { isReused, id, ...rest } = await connect(port, session);
        session = rest.session;
        seen.push(isReused);
        ids.add(id);
      }
      log(seen);
      // Without a primary that deals out connections nobody can say whose turn it is.
      if (policy === 'rr') log(ids.size > 1);
      cluster.disconnect();
    },
    worker({ cluster, tmp }) {
      const [key, cert] = ['key', 'cert'].map((name) => readFileSync(path.join(tmp, name)));
      tls
        .createServer({ key, cert, maxVersion: 'TLSv1.2' }, (socket) => {
          socket.end(String(cluster.worker.id));
        })
        .listen(0, '127.0.0.1');
    },
  },

  'the ticket keys of a server are the same in all workers': {
    supported,
    async primary({ cluster, log, tmp }) {
      makeCertificate(tmp);
      const seen = times(cluster, 'message', 2);
      await once(cluster.fork(), 'listening');
      await once(cluster.fork(), 'listening');
      const [[, first], [, second]] = await seen;
      log(first.length, first.keys === second.keys);
      cluster.disconnect();
    },
    worker({ tmp }) {
      const [key, cert] = ['key', 'cert'].map((name) => readFileSync(path.join(tmp, name)));
      const server = tls.createServer({ key, cert }).listen(0, '127.0.0.1', () => {
        const keys = server.getTicketKeys();
        process.send({ length: keys.length, keys: keys.toString('hex') });
      });
    },
  },
}));
