/// <reference types="node" />

// The supervisor: keeps a number of workers running, restarts them without dropping a request, and
// ends them in time. All times are milliseconds.

import type { EventEmitter } from 'node:events';
import type * as node from 'node:cluster';

/**
 * Starts the workers and keeps them. In the primary only, and once per process (again after the
 * earlier supervisor has stopped).
 *
 * Attached to the cluster object as `cluster.supervise(options)`.
 */
export function supervise(cluster: object, options?: SupervisorOptions): Supervisor;

/**
 * How many CPUs this process may really use: by its affinity and by the CPU quota of its cgroup
 * (version 1 or 2), rounded down, at least 1. What `workers: 'auto'` means.
 */
export function availableCpus(): number;

// Options ----------------------------------------------------------------------------------------

/** `'auto'`: one for each CPU; negative: all CPUs but so many (at least one worker). */
export type WorkerCount = 'auto' | number;

/** Bytes, or a text like `'300M'`, `'1.5G'` (powers of 1024; also `'512K'`, `'300MB'`). */
export type Bytes = number | string;

export interface SupervisorOptions {
  /** Default `'auto'`. 0 is allowed: nothing runs until `scale()`. */
  workers?: WorkerCount;

  // What runs. Left out, it is what `cluster.settings` says (by default, this program again).
  /** The worker's program. */
  exec?: string;
  /** Its arguments. */
  args?: readonly string[];
  /** Arguments for its node. */
  execArgv?: readonly string[];
  cwd?: string;
  /** Laid over `process.env`. */
  env?: Readonly<Record<string, string | undefined>>;
  /**
   * The workers' output is not passed on: read `worker.process.stdout` and `.stderr` in `'start'`.
   * Default: as `cluster.settings` says. The last lines of stderr are kept in either case, unless
   * `captureStderr` is false.
   */
  silent?: boolean;
  /**
   * Workers' stderr comes through a pipe, so that the last lines of a worker that crashes can be
   * shown; it is passed on as it comes. With `false`, workers write to the primary's stderr
   * themselves, and see a terminal if that is one. Default true.
   */
  captureStderr?: boolean;
  /** The environment variable that has the slot's number. `null`: none. Default `'NODE_APP_INSTANCE'`. */
  slotVariable?: string | null;

  // When a worker is ready.
  /**
   * `'listening'`: it listens; `'ready'`: it says `process.send('ready')`; `'online'`: it runs (for
   * workers that serve nobody). Default `'listening'`.
   */
  readyOn?: 'listening' | 'ready' | 'online';
  /** `true` is short for `readyOn: 'ready'`. */
  waitReady?: boolean;
  /** A worker that is not ready by then is replaced; 0: no limit. Default 30 000. */
  listenTimeout?: number;

  // Crashes: a worker that ends without having been told to.
  /** The wait before the first restart; it doubles with each crash in a row. Default 100. */
  backoffMin?: number;
  /** The longest wait between restarts. Default 30 000. */
  backoffMax?: number;
  /** A worker that was ready for so long has not crashed «in a row». Default 10 000. */
  minUptime?: number;
  /**
   * After so many crashes in a row, a slot is given up (event `'crashLoop'`); the others run on.
   * `reload()` and `scale()` try it again. When all slots are given up, the supervisor stops, with
   * exit code 1. `Infinity`: never. Default 8.
   */
  maxCrashes?: number;

  // Ending a worker.
  /**
   * How long a worker that is told to go may take for requests in flight; then SIGTERM.
   * Default 10 000.
   */
  killTimeout?: number;
  /** How long after that SIGTERM comes SIGKILL. Default 2000. */
  killDelay?: number;
  /**
   * A worker whose last connection has ended, but that something keeps alive (a database
   * connection, a timer), gets SIGTERM after so long. Default 1000.
   */
  exitTimeout?: number;
  /**
   * A keep-alive connection is closed at once if it has been idle for so long; one that was used
   * later may have its next request on the way, so it gets the rest of this time. Default 500.
   */
  keepAliveGrace?: number;
  /**
   * When a worker goes, WebSockets for which the app does not listen to `'drainSocket'` get a close
   * frame with code 1001 («going away»), on which clients reconnect. Default true.
   */
  closeWebSockets?: boolean;
  /**
   * `stop()` by a signal: how long to go on serving after `cluster.worker.isDraining` has become
   * true, so that a load balancer sees it. Default 0.
   */
  drainDelay?: number;

  // Reload.
  /** How many workers `reload()` replaces at a time. Default 1. */
  parallel?: number;

  // Hung workers and recycling.
  /** A worker whose event loop has not turned for so long is replaced. 0: off. Default 0. */
  hangTimeout?: number;
  /**
   * Ask a hung worker for its JavaScript stack, through SIGUSR1 and the inspector, on a port of
   * 127.0.0.1, before it is killed. Default true.
   */
  hangStack?: boolean;
  /** Resident memory above which a worker is replaced. 0: off. Default 0. */
  maxMemory?: Bytes;
  /** Time since it became ready, after which a worker is replaced. 0: off. Default 0. */
  maxAge?: number;
  /** Number of connections served, after which a worker is replaced. 0: off. Default 0. */
  maxConnections?: number;
  /**
   * These three limits are spread by this share, so that not all workers reach one together: 0.1
   * means that each worker's own limit is between 90 % and 100 % of it. Default 0.1.
   */
  jitter?: number;
  /** How often memory and age are looked at. Default 5000. */
  checkInterval?: number;
  /** The source of jitter, from 0 up to but without 1. Default `Math.random`. */
  random?: () => number;

  // The process.
  /**
   * SIGTERM and SIGINT drain and stop, the second one stops at once; SIGHUP and SIGUSR2 reload.
   * The process then exits; see «Exit codes». `false`: signals are left to the program. Default true.
   */
  signals?: boolean;
  /**
   * Use sockets passed by `LISTEN_FDS`, tell `NOTIFY_SOCKET` what happens, and feed the watchdog:
   * only if the environment has these variables. Default true.
   */
  systemd?: boolean;
  /**
   * Where a line goes for each thing that somebody should know: crashes, crash loops, failed
   * reloads, hung and killed workers. `true`: stderr. Default true.
   */
  log?: boolean | ((line: string) => void);
}

// Supervisor -------------------------------------------------------------------------------------

/** Why a worker goes (also: why it was started, if it takes another's place). */
export type Reason =
  | 'reload'
  | 'scale'
  | 'stop'
  | 'memory'
  | 'age'
  | 'connections'
  | 'hang'
  | 'not-ready'
  /** It wants to: `cluster.worker.disconnect()`, or a signal sent to it. */
  | 'self'
  /** `worker.disconnect()` or `worker.kill()` was called in the primary by somebody else. */
  | 'disconnect';

/** Node's Worker, in the primary, with its place. */
export interface SupervisedWorker extends node.Worker {
  /** From 0; the same over respawn and reload. */
  readonly slot: number;
  /** Counts reloads: 1 for the first workers. */
  readonly generation: number;
}

export interface SupervisorEventMap {
  /** A process was started. */
  start: [worker: SupervisedWorker, info: { reason: 'start' | 'crash' | Reason }];
  /** A worker is ready: `ms` after its start. */
  ready: [worker: SupervisedWorker, info: { ms: number }];
  /** All workers are ready, for the first time (but for those whose slot was given up). */
  running: [info: { workers: number; ms: number }];
  /** A worker was not ready within `listenTimeout`; it is replaced. */
  notReady: [
    worker: SupervisedWorker,
    info: { timeout: number; readyOn: ResolvedOptions['readyOn'] },
  ];
  /** A worker has been told to go. */
  drain: [worker: SupervisedWorker, info: { reason: Reason }];
  /**
   * A worker that does not go gets a signal. `drained`: its connections had all ended, and only
   * something else kept it alive (`exitTimeout`).
   */
  kill: [
    worker: SupervisedWorker,
    info: { signal: NodeJS.Signals; reason: Reason; drained: boolean },
  ];
  /** A worker has ended. */
  exit: [worker: SupervisedWorker, info: ExitInfo];
  /** After a crash: a new worker starts in `delay` ms; `crashes` in a row so far. */
  backoff: [info: { slot: number; delay: number; crashes: number }];
  /** A slot is given up. */
  crashLoop: [info: CrashLoopInfo];
  /** The event loop of a worker has not turned for `ms`; it is replaced. */
  hang: [worker: SupervisedWorker, info: { ms: number; stack: string | undefined }];
  /** A worker has reached a limit; another takes its place. */
  recycle: [
    worker: SupervisedWorker,
    info: { reason: 'memory' | 'age' | 'connections'; value: number; limit: number },
  ];
  /** This worker is the leader now. */
  leader: [worker: SupervisedWorker];
  /** `scale()` has begun. */
  scale: [info: { from: number; to: number }];
  /** `reload()` has begun, and has ended in one way or the other. */
  reload: [info: { generation: number }];
  reloaded: [info: { generation: number; workers: number; ms: number }];
  reloadFailed: [info: { generation: number; error: SupervisorError }];
  /** A signal was received. */
  signal: [info: { signal: NodeJS.Signals; action: 'stop' | 'stop-now' | 'reload' }];
  /** Stopping has begun, by `stop()`, by a signal, or because all slots were given up. */
  stop: [info: { signal: NodeJS.Signals | undefined }];
  /** No worker is left. `code` is what the process should exit with. */
  stopped: [info: { code: number }];
}

export interface ExitInfo {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Whether it had been told to go, or wanted to; otherwise it is a crash. */
  expected: boolean;
  reason: Reason | 'crash';
  /** Milliseconds since its start. */
  uptime: number;
  /** The last lines (20 at most) that it wrote to stderr. */
  stderr: string[];
}

export interface CrashLoopInfo {
  slot: number;
  /** In a row, the last 20 at most. */
  crashes: Pick<ExitInfo, 'code' | 'signal' | 'reason' | 'uptime' | 'stderr'>[];
  /** How many slots still run. */
  left: number;
}

export type SupervisorErrorCode =
  /** `start`, `reload`, `scale`: a worker ended before it was ready. */
  | 'ERR_WORKER_EXITED'
  /** … or was not ready within `listenTimeout`. */
  | 'ERR_WORKER_NOT_READY'
  /** The supervisor is stopping, or has stopped. */
  | 'ERR_SUPERVISOR_STOPPED'
  /** `supervise()` called twice. */
  | 'ERR_SUPERVISOR_RUNNING'
  /** An option, or the number given to `scale()`, is wrong. */
  | 'ERR_INVALID_ARG_VALUE';

export interface SupervisorError extends Error {
  code: SupervisorErrorCode;
  slot?: number;
  exit?: ExitInfo;
}

export interface Supervisor extends EventEmitter<SupervisorEventMap> {
  /** All options, with defaults filled in, and `maxMemory` as a number of bytes. */
  readonly options: ResolvedOptions;
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped';
  readonly leader: SupervisedWorker | undefined;
  /**
   * Resolves with the event `'running'`; rejects if all slots were given up, or
   * it was stopped, before that. Rejections that nobody looks at do no harm.
   */
  readonly running: Promise<void>;

  /**
   * Sets the number of workers. Resolves when the new ones are ready, or those too many have ended;
   * rejects if a new one does not come up (it is tried again, as after a crash).
   */
  scale(workers: WorkerCount): Promise<Status>;

  /**
   * Replaces all workers, `parallel` at a time; each new one is ready before the old one goes.
   * Rejects when a new one does not come up; it is removed, and the old ones serve on, beside the
   * new ones that did come up before it. Slots that
   * were given up are tried again. While a reload is under way, another call waits for it and then
   * begins; any number of waiting calls make one reload.
   */
  reload(options?: { parallel?: number }): Promise<Status>;

  /**
   * Drains and ends all workers. With `now`, kills them. Resolves when the last has ended; does not
   * exit the process. Called again, it gives the same promise (with `now`, it hurries).
   */
  stop(options?: { now?: boolean; delay?: number }): Promise<void>;

  /** What is running at this moment; plain data, to be made JSON of. */
  status(): Status;
}

export interface ResolvedOptions extends Required<
  Omit<
    SupervisorOptions,
    'exec' | 'args' | 'execArgv' | 'cwd' | 'env' | 'silent' | 'waitReady' | 'maxMemory'
  >
> {
  exec?: string;
  args?: readonly string[];
  execArgv?: readonly string[];
  cwd?: string;
  env?: Readonly<Record<string, string | undefined>>;
  silent?: boolean;
  maxMemory: number;
}

export interface Status {
  pid: number;
  state: Supervisor['state'];
  /** Counts reloads: 1 at the start. */
  generation: number;
  /** How many workers there should be. */
  wanted: number;
  /** How many are ready. */
  ready: number;
  /** Milliseconds since `supervise()`. */
  uptime: number;
  reloading: boolean;
  /** By slot; while a worker is being replaced, its slot has two entries. */
  workers: WorkerStatus[];
}

export interface WorkerStatus {
  slot: number;
  /**
   * `'backoff'` and `'failed'` (given up) are of a slot that has no process now.
   */
  state: 'starting' | 'ready' | 'draining' | 'backoff' | 'failed';
  id: number | undefined;
  pid: number | undefined;
  generation: number;
  leader: boolean;
  /** Milliseconds since the start of its process; 0 if it has none. */
  uptime: number;
  /** How often this slot's worker has ended without being told to. */
  crashes: number;
  /** How often this slot got a new worker, for whatever reason. */
  restarts: number;
  /** Resident memory in bytes, where the system tells (Linux). */
  memory: number | undefined;
  /** Open connections. */
  connections: number | undefined;
}

// In a worker ------------------------------------------------------------------------------------

/** What `cluster.worker` has in a supervised worker. */
export interface SupervisedSelf {
  readonly slot: number;
  /** Whether this worker is the leader; there is one at a time. False as soon as it drains. */
  readonly isLeader: boolean;
  /** Whether this worker is about to go: `/ready` should say no. */
  readonly isDraining: boolean;
}

/** Events of `cluster.worker` in a supervised worker. */
export interface SupervisedSelfEventMap {
  /** This worker has become the leader. It stays the leader until `'drain'`. */
  leader: [];
  /** This worker is about to go. */
  drain: [event: DrainEvent];
  /**
   * While it goes: a socket that the server cannot end by itself, now or later. The app should end
   * it: for a WebSocket, by its library.
   */
  drainSocket: [socket: import('node:stream').Duplex, info: DrainSocketInfo];
}

export interface DrainEvent {
  reason: Reason;
  /** Milliseconds until the worker gets SIGTERM. */
  timeout: number;
  /** The worker's channel stays open, and it is not ended before `killTimeout`, until this is settled. */
  waitUntil(work: Promise<unknown>): void;
}

export interface DrainSocketInfo {
  /** `'upgrade'`: after an HTTP upgrade or CONNECT; `'raw'`: of a server of `net` or `tls`. */
  kind: 'upgrade' | 'raw';
  /** What the request's `Upgrade` header said, in lower case; `'connect'` after CONNECT. */
  protocol: string | undefined;
  server: import('node:net').Server;
}
