'use strict';

/** All slots: which there are, and who serves in them. */

const { Slot } = require('./slot');

/** @typedef {InstanceType<typeof import('./member').Member>} Member */

class Crew {
  #context;
  /** @type {Map<number, InstanceType<typeof Slot>>} */
  #slots = new Map();

  /** @param {import('./slot').Context} context */
  constructor(context) {
    this.#context = context;
  }

  get slots() {
    return [...this.#slots.values()].sort((a, b) => a.number - b.number);
  }

  get(/** @type {number} */ number) {
    return this.#slots.get(number);
  }

  /** All processes, also those that come or go. */
  get members() {
    return this.slots.flatMap(({ members }) => members);
  }

  /** Those who serve in their slots. */
  get ready() {
    return this.slots.flatMap(({ member }) => (member?.state === 'ready' ? [member] : []));
  }

  /** Whether it is known of every slot what becomes of it, and somebody serves, if anybody shall. */
  get isSettled() {
    const failed = this.slots.filter((slot) => slot.failed).length;
    const ready = this.ready.length;
    return ready + failed === this.#slots.size && (ready > 0 || this.#slots.size === 0);
  }

  /** Whether nobody is left who could serve. */
  get hasFailed() {
    const isOver = (/** @type {InstanceType<typeof Slot>} */ { failed, members }) =>
      failed && members.length === 0;
    return this.#slots.size > 0 && this.slots.every(isOver);
  }

  start(/** @type {number} */ count) {
    for (let number = 0; number < count; number++) this.#open(number).startOrRetry('start');
  }

  /** New slots, and those that were given up. @returns {Promise<void>[]} */
  grow(/** @type {number} */ to) {
    return Array.from({ length: to }, (_each, number) => {
      const slot = this.#slots.get(number);
      return slot ? slot.revive('scale') : this.#open(number).start('scale');
    });
  }

  /** @returns {Promise<void>[]} */
  shrink(/** @type {number} */ to) {
    return this.slots.slice(to).map(async (slot) => {
      await slot.close('scale');
      this.#slots.delete(slot.number);
    });
  }

  #open(/** @type {number} */ number) {
    const slot = new Slot(number, this.#context);
    this.#slots.set(number, slot);
    return slot;
  }
}

module.exports = { Crew };
