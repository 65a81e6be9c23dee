'use strict';

/**
 * Who the leader is. There is never more than one: a new one is named when the old one has said
 * that it is no longer, or has ended.
 */

/** @typedef {InstanceType<typeof import('./member').Member>} Member */

class Leadership {
  /** @type {Member | undefined} */
  #leader;
  /** Who has handed it on goes, even where that is not known yet. @type {WeakSet<Member>} */
  #resigned = new WeakSet();
  #onLeader;

  /** @param {(member: Member) => void} onLeader */
  constructor(onLeader) {
    this.#onLeader = onLeader;
  }

  get current() {
    return this.#leader;
  }

  /** Names one, if there is none. */
  update(/** @type {Member[]} */ members) {
    if (this.#leader?.state === 'dead') this.#leader = undefined;
    if (this.#leader) return;
    // In a reload the new ones stay: the old would have to hand on soon.
    const [next] = members
      .filter((member) => member.state === 'ready' && !this.#resigned.has(member))
      .sort((a, b) => b.generation - a.generation || a.slot - b.slot);
    if (!next) return;
    this.#leader = next;
    next.say({ act: 'lead' });
    this.#onLeader(next);
  }

  onResigned(/** @type {Member} */ member) {
    this.#resigned.add(member);
    if (member === this.#leader) this.#leader = undefined;
  }
}

module.exports = { Leadership };
