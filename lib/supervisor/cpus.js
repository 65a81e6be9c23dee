'use strict';

/**
 * How many CPUs this process may really use: those of its affinity, limited by the quota of its
 * cgroup and of those above it.
 */

const fs = require('fs');
const os = require('os');
const path = require('path');

module.exports = { availableCpus, resolveCount };

/** @param {{ root?: string, parallelism?: number }} [system] other than the real one, for tests */
function availableCpus({ root = '/', parallelism = os.availableParallelism() } = {}) {
  const quotas = groupsOf(root).flatMap(({ version, group }) =>
    mountsOf(root, version).flatMap((mount) => quotasAbove(mount, group, version)),
  );
  return Math.max(1, Math.floor(Math.min(parallelism, ...quotas)));
}

/**
 * @param {import('.').WorkerCount} count
 * @param {number} [cpus]
 */
function resolveCount(count, cpus = availableCpus()) {
  if (count === 'auto') return cpus;
  return count < 0 ? Math.max(1, cpus + count) : count;
}

/** The cgroups of this process that can have a quota. */
function groupsOf(/** @type {string} */ root) {
  const lines = read(path.join(root, 'proc/self/cgroup')).split('\n');
  return lines.flatMap((line) => {
    const [id, controllers, group] = line.split(':');
    if (group === undefined) return [];
    if (id === '0' && controllers === '') return [{ version: 2, group }];
    return controllers.split(',').includes('cpu') ? [{ version: 1, group }] : [];
  });
}

/** Where the file systems of cgroups are usually mounted. */
function mountsOf(/** @type {string} */ root, /** @type {number} */ version) {
  const base = path.join(root, 'sys/fs/cgroup');
  if (version === 2) return [base, path.join(base, 'unified')];
  return [path.join(base, 'cpu'), path.join(base, 'cpu,cpuacct')];
}

/**
 * The quotas, in CPUs, of a group and of all above it. In a container the upper ones, or even its
 * own path, may not be there to be seen.
 * @param {string} mount
 * @param {string} group
 * @param {number} version
 */
function quotasAbove(mount, group, version) {
  const quotas = [];
  for (let at = path.posix.join('/', group); ; at = path.posix.dirname(at)) {
    const directory = path.join(mount, at);
    const [quota, period] =
      version === 2
        ? read(path.join(directory, 'cpu.max')).trim().split(' ')
        : ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) => read(path.join(directory, name)));
    // No quota is 'max', or -1.
    const cpus = Number(quota) / Number(period);
    if (cpus > 0 && Number.isFinite(cpus)) quotas.push(cpus);
    if (at === '/') return quotas;
  }
}

function read(/** @type {string} */ file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
