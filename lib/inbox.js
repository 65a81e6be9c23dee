'use strict';

/**
 * Messages that have arrived and are to be emitted: each is an event of its own, in the order sent,
 * and an exception in one listener disturbs no other message.
 */

class Inbox {
  #target;
  /** @type {{ message: any, handle: any }[]} */
  #waiting = [];
  #next = 0;
  #scheduled = false;

  /** @param {import('events').EventEmitter} target emits `'message'` and `'internalMessage'` */
  constructor(target) {
    this.#target = target;
  }

  /** @param {any[]} messages @param {any} [handle] */
  add(messages, handle) {
    for (const message of messages) this.#waiting.push({ message, handle });
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(deliver, this);
  }

  deliver() {
    try {
      while (this.#next < this.#waiting.length) {
        const { message, handle } = this.#waiting[this.#next++];
        this.#target.emit(isInternal(message) ? 'internalMessage' : 'message', message, handle);
      }
    } finally {
      this.#scheduled = false;
      if (this.#next < this.#waiting.length) {
        this.#schedule();
      } else {
        this.#waiting = [];
        this.#next = 0;
      }
    }
  }
}

/** @param {Inbox} inbox */
function deliver(inbox) {
  inbox.deliver();
}

/** Node keeps messages with a `cmd` that begins so to itself. */
const INTERNAL_PREFIX = 'NODE_';

function isInternal(/** @type {any} */ message) {
  return (
    typeof message?.cmd === 'string' &&
    message.cmd.length > INTERNAL_PREFIX.length &&
    message.cmd.startsWith(INTERNAL_PREFIX)
  );
}

module.exports = { Inbox };
