'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');

test('all that the cluster has can be imported by name', async () => {
  const { default: cluster, ...named } = await import('rust-cluster');
  const properties = Object.keys(cluster).filter((name) => !name.startsWith('_'));
  for (const name of properties) {
    assert.ok(Object.hasOwn(named, name), name);
    assert.equal(named[name], cluster[name], name);
  }
  assert.equal(properties.includes('supervise'), true);
});

test('what is imported by name follows the settings', async () => {
  const named = await import('rust-cluster');
  const { default: cluster } = named;
  const changes = [
    () => cluster.setupPrimary({ silent: true }),
    () => cluster.setupPrimary(),
    () => (cluster.settings = { ...cluster.settings }),
    () => (cluster.settings.args = ['other']),
  ];
  for (const change of changes) {
    change();
    cluster.setupPrimary();
    assert.equal(named.settings, cluster.settings);
  }
  assert.deepEqual(named.settings.args, ['other']);
});
