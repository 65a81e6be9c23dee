import cluster from 'node:cluster';
import http from 'node:http';
import { availableParallelism } from 'node:os';
import process from 'node:process';

if (cluster.isPrimary) {
  cluster.setupPrimary({ exec: 'worker.js', args: ['--port', '3000'], silent: true });
  for (let i = 0; i < availableParallelism(); i++) cluster.fork({ INDEX: i });

  cluster.on('fork', (worker) => console.log(worker.id));
  cluster.on('online', (worker) => worker.send({ hello: true }));
  cluster.on('listening', (worker, address) => {
    const port: number = address.port;
    console.log(worker.process.pid, address.address, port, address.addressType);
  });
  cluster.on('disconnect', (worker) => console.log(worker.isDead()));
  cluster.on('exit', (worker, code, signal) => {
    const status: number = code;
    const name: string = signal;
    console.log(worker.exitedAfterDisconnect, status, name);
  });
  cluster.on('setup', (settings) => console.log(settings.exec));
  cluster.once('message', (worker, message, handle) => {
    console.log(worker.id, message, handle);
  });
  cluster.disconnect(() => process.exit(0));
} else {
  http.createServer((_request, response) => response.end()).listen(8000);
  const id: number | undefined = cluster.worker?.id;
  console.log(id);
}
