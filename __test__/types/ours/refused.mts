import cluster, { native } from 'rust-cluster';
import type * as types from 'rust-cluster';

// @ts-expect-error: read-only
cluster.native = false;
// @ts-expect-error: not a string
const name: string = native;
// @ts-expect-error: no such property
cluster.nativ;
// @ts-expect-error: no such setting
cluster.setupPrimary({ handOff: 1 });
// @ts-expect-error: no such policy
cluster.setupPrimary({ scheduling: 'random' });
// @ts-expect-error: not a message
cluster.broadcast(undefined);
// @ts-expect-error: a helper of the declarations
type Helper = types.IfKnown<string>;
// @ts-expect-error: Node's argument types still hold
cluster.fork().send();

export type { Helper };
export { name };
