import cluster = require('node:cluster');

const settings: cluster.ClusterSettings = { cwd: '/', windowsHide: true, uid: 1, gid: 1 };
cluster.setupPrimary(settings);
const worker: cluster.Worker = cluster.fork();
const dictionary: NodeJS.Dict<cluster.Worker> | undefined = cluster.workers;
cluster.emit('online', worker);

type Events = cluster.ClusterEventMap;
const onExit = (...[left, code]: Events['exit']): boolean => left.isDead() && code === 0;
cluster.on('exit', onExit);
console.log(dictionary, worker instanceof cluster.Worker);
