import * as _cluster from 'cluster';

// How programs for an @types/node before 25 get at the object without esModuleInterop.
const cluster = _cluster as unknown as _cluster.Cluster;
const workers: _cluster.Worker[] = [];

if (cluster.isPrimary) {
  workers.push(cluster.fork({ NODE_ENV: 'production' }));
  cluster.on('exit', (worker: _cluster.Worker) => workers.splice(workers.indexOf(worker), 1));
}
