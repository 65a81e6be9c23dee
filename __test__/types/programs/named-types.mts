import cluster, { Worker } from 'node:cluster';
import type { Address, Cluster, ClusterSettings } from 'node:cluster';
import type { Socket } from 'node:net';

const settings: ClusterSettings = {
  execArgv: ['--enable-source-maps'],
  serialization: 'advanced',
  inspectPort: () => 0,
  stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
};

function start(over: Cluster, count: number): Worker[] {
  over.setupPrimary(settings);
  return Array.from({ length: count }, () => over.fork());
}

class Pool extends Worker {
  weight = 1;
}

const pool: Map<number, Worker> = new Map();
for (const worker of start(cluster, 2)) {
  pool.set(worker.id, worker);
  worker.on('listening', ({ address, port }: Address) => console.log(address, port));
  worker.on('exit', (code: number, signal: string) => console.log(code, signal));
  worker.once('error', (error: Error) => console.log(error.message));
  worker.kill('SIGTERM');
  worker.destroy();
}

export function handOver(worker: Worker, socket: Socket): boolean {
  const queued: boolean = worker.send('socket', socket, { keepOpen: true }, (error) => {
    if (error) throw error;
  });
  return queued && worker.isConnected() && worker.disconnect() instanceof Pool;
}

for (const id in cluster.workers) cluster.workers[id]?.send({ stop: true });
cluster.schedulingPolicy = cluster.SCHED_RR;
