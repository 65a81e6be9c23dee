/// <reference types="node" />

// Node's own types and what this package adds to them. Nothing of Node's is declared again here, so
// these types follow whichever @types/node the program has, from 20 on.

import type * as node from 'node:cluster';

declare const cluster: cluster.Cluster;

declare namespace cluster {
  type Address = node.Address;
  type ClusterSettings = node.ClusterSettings;
  type Worker = node.Worker;

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
     * `node:cluster` does it.
     */
    readonly native: boolean;

    readonly Worker: typeof node.Worker;
  }
}

/** A name that the program's @types/node does not have would be `any`: make it `never`. */
type IfKnown<T> = 0 extends 1 & T ? never : T;

/**
 * Settings of ours, planned. Not exported until they are there: `ClusterSettings` then becomes an
 * interface that extends `node.ClusterSettings` and this one, and `Cluster` declares `setupPrimary`
 * and `settings` with it.
 */
interface ConnectionSettings {
  /**
   * For how many milliseconds a connection may wait for a worker that does not take it, before it
   * is given to another worker. Default 5.
   */
  handoffTimeout?: number;

  /**
   * For how many milliseconds a listener stays open after its last worker died without closing it,
   * so that a new worker can take it over. Default 5000; with 0 it closes at once, as with
   * `node:cluster`.
   */
  listenerLinger?: number;

  /** Which worker gets the next connection. Default `'rr'`. */
  scheduling?: SchedulingName | SchedulingFunction;
}

type SchedulingName = 'rr' | 'none' | 'least-connections' | 'ip-hash';

/** Called in the primary for every connection; without an answer, it is the next worker's turn. */
type SchedulingFunction = (
  connection: ConnectionInfo,
  workers: cluster.Worker[],
) => cluster.Worker | undefined;

/** The two ends of a connection; a Unix socket has none of these. */
interface ConnectionInfo {
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly localAddress?: string;
  readonly localPort?: number;
}

export = cluster;
