'use strict';

// Scenarios that differ on purpose, one for each thing that is compared: so that a comparison that
// cannot fail is found out.

module.exports = {
  value: {
    primary: ({ log, ours }) => log({ nested: [ours] }),
  },
  'kind of a value': {
    primary: ({ log, ours }) => log(ours ? undefined : null),
  },
  'own key': {
    primary: ({ log, ours }) => log(ours ? { fd: undefined } : {}),
  },
  'number of entries': {
    primary: ({ log, ours }) => (log('once'), ours && log('twice')),
  },
  order: {
    primary: ({ log, ours }) => (ours ? (log(1), log(2)) : (log(2), log(1))),
  },
  port: {
    primary: ({ log, ours }) => log({ port: 5000 }, { port: ours ? 5000 : 5001 }),
  },
  'entry of a worker': {
    primary: ({ cluster }) => cluster.fork(),
    worker({ cluster, log, ours }) {
      if (ours) log('an entry more');
      cluster.worker.disconnect();
    },
  },
  'exit code': {
    primary: ({ ours }) => process.exit(ours ? 1 : 0),
  },
  stdout: {
    primary: ({ ours }) => console.log(ours),
  },
  stderr: {
    stderr: true,
    primary: ({ ours }) => console.error(ours),
  },
};
