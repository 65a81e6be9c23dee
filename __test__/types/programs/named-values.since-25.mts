import { SCHED_NONE, Worker, disconnect, fork, isPrimary, isWorker, settings } from 'node:cluster';
import { setupPrimary, worker, workers } from 'node:cluster';
import type { ClusterEventMap, WorkerEventMap, WorkerOptions } from 'node:cluster';
import * as cluster from 'cluster';

const options: WorkerOptions = { id: 7, state: 'none' };
const online: WorkerEventMap['online'] = [];

interface Events extends ClusterEventMap {
  extra: [name: string];
}

if (isPrimary) {
  setupPrimary({ silent: false });
  const started: Worker = fork();
  started.emit('online', ...online);
  console.log(settings.exec, workers?.[started.id], new Worker(options).id);
  const names: (keyof Events)[] = ['exit', 'extra'];
  disconnect(() => console.log(names));
}
if (isWorker) console.log(worker?.id, cluster.schedulingPolicy === SCHED_NONE);
