'use strict';

/**
 * Messages that have arrived and are to be emitted: each is an event of its own, in the order sent,
 * and an exception in one listener disturbs no other message.
 */

class Inbox {
  #target;
  /** @type {{ messages: any[], handle: any }[]} */
  #waiting = [];
  /** Where in the first of them the next message is. */
  #next = 0;
  #scheduled = false;

  /** @param {import('events').EventEmitter} target emits `'message'` and `'internalMessage'` */
  constructor(target) {
    this.#target = target;
  }

  /** @param {any[]} messages @param {any} [handle] */
  add(messages, handle) {
    this.#waiting.push({ messages, handle });
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(deliver, this);
  }

  deliver() {
    const target = this.#target;
    try {
      while (this.#waiting.length > 0) {
        const { messages, handle } = this.#waiting[0];
        while (this.#next < messages.length) {
          const message = messages[this.#next++];
          target.emit(isInternal(message) ? 'internalMessage' : 'message', message, handle);
        }
        this.#waiting.shift();
        this.#next = 0;
      }
    } finally {
      this.#scheduled = false;
      // A listener has thrown: the others get theirs in a tick of their own.
      if (this.#waiting.length > 0) this.#schedule();
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
