/// <reference types="node" />

// Node's own types and what this package adds to them. Nothing of Node's is declared again here, so
// these types follow whichever @types/node the program has, from 20 on.

import type { Serializable } from 'node:child_process';
import type * as node from 'node:cluster';
import type * as supervisor from './lib/supervisor';

declare const cluster: cluster.Cluster;

declare namespace cluster {
  type Address = node.Address;
  // @ts-ignore: @types/node has this name since 25
  type ClusterEventMap = IfKnown<node.ClusterEventMap>;
  // @ts-ignore: @types/node has this name since 25
  type WorkerEventMap = IfKnown<node.WorkerEventMap>;
  // @ts-ignore: @types/node has this name since 25
  type WorkerOptions = IfKnown<node.WorkerOptions>;

  /** Node's cluster object, adopted in place: `require('node:cluster')` gives the same object. */
  interface Cluster extends node.Cluster {
    /**
     * `true` when the Rust core does the work; `false` when it could not be loaded, and
     * `node:cluster` does it. What else is declared here is absent then, but for `supervise()`.
     */
    readonly native: boolean;

    readonly Worker: typeof node.Worker;
    readonly settings: ClusterSettings;
    readonly worker?: Worker;
    readonly workers?: NodeJS.Dict<Worker>;

    /**
     * Who gets a connection, until the first `fork()` or `setupPrimary()`; see
     * {@link ConnectionSettings.scheduling}. Read, it is a number for what Node knows.
     */
    get schedulingPolicy(): number;
    set schedulingPolicy(policy: number | SchedulingName | SchedulingFunction);

    fork(env?: Parameters<node.Cluster['fork']>[0]): Worker;
    setupPrimary(settings?: ClusterSettings): void;
    /** @deprecated use `setupPrimary` */
    setupMaster(settings?: ClusterSettings): void;

    /**
     * Sends a message to all workers that are connected; from a worker, to all others. It is
     * encoded once, and passed on between workers without JavaScript in the primary. Each worker
     * gets the messages of one sender in the order sent.
     * @throws ERR_MISSING_ARGS, ERR_INVALID_ARG_TYPE as `send`; ERR_IPC_CHANNEL_CLOSED in a worker
     * that is disconnected
     */
    broadcast(message: Serializable): void;

    /** Starts workers and keeps them running; see docs/supervisor.md. In the primary only. */
    supervise(options?: supervisor.SupervisorOptions): supervisor.Supervisor;
  }

  /** A worker as `fork()` and `workers` give it, with what the primary sees of it at any moment. */
  interface Worker extends node.Worker {
    /** Open connections of its servers, as the worker counts them. */
    readonly connections: number;

    /**
     * Changes whenever its event loop turns. One that only waits does not turn:
     * {@link Worker.nudge} makes it.
     */
    readonly turns: number;

    /** Makes an event loop that only waits turn once. */
    nudge(): void;
  }

  interface ClusterSettings extends node.ClusterSettings, ConnectionSettings {}

  /** How connections find their worker. */
  interface ConnectionSettings {
    /**
     * For how many milliseconds a connection may wait for a worker whose event loop does not turn,
     * before it is given to another one that would serve it sooner. Greater than 0; default 5.
     */
    handoffTimeout?: number | undefined;

    /**
     * For how many milliseconds a listening socket stays after its last worker has crashed, so that
     * a new worker can take it over and clients wait meanwhile. Default 5000; with 0 it closes at
     * once, as with `node:cluster`.
     */
    listenerLinger?: number | undefined;

    /** Which worker gets the next connection. Default `'rr'`. */
    scheduling?: SchedulingName | SchedulingFunction | undefined;
  }

  /**
   * - `'rr'`: each in turn
   * - `'none'`: workers share the socket and the system decides
   * - `'least-connections'`: the one with the fewest open connections
   * - `'ip-hash'`: always the same one for a client's address
   */
  type SchedulingName = 'rr' | 'none' | 'least-connections' | 'ip-hash';

  /** Called in the primary for every connection; without an answer, it is the next one's turn. */
  type SchedulingFunction = (connection: ConnectionInfo, workers: Worker[]) => Worker | undefined;

  /** The two ends of a connection; a Unix socket has none of these. */
  interface ConnectionInfo {
    readonly remoteAddress?: string;
    readonly remotePort?: number;
    readonly localAddress?: string;
    readonly localPort?: number;
  }
}

/** A name that the program's @types/node does not have would be `any`: make it `never`. */
type IfKnown<T> = 0 extends 1 & T ? never : T;

export = cluster;
