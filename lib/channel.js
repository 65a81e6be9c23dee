'use strict';

/**
 * `send`, `disconnect`, `connected`, `channel` and the events `'message'`, `'internalMessage'` and
 * `'disconnect'` on a process: on the child's `ChildProcess` in the primary, on `process` in a
 * worker. As `child_process.fork` has them (https://nodejs.org/api/child_process.html), with bytes
 * and descriptors carried by the native channel.
 */

const { EventEmitter } = require('events');

const errors = require('./errors');
const handles = require('./handles');
const { Outbox } = require('./outbox');
const serialization = require('./serialization');

module.exports = { attachChannel, control };

/** How often a handle that was lost on the way is sent again. */
const MAX_RETRANSMISSIONS = 3;

const MESSAGE_TYPES = new Set(['string', 'object', 'number', 'boolean']);

const WRITE = Symbol('write');

/**
 * Marks a message as one of the cluster's own: given to `send`, it makes it call `write`, behind
 * all that was sent before.
 * @param {object} message
 * @param {() => void} write
 */
function control(message, write) {
  return { ...message, [WRITE]: write };
}

/** @typedef {(error: Error | null) => void} Done */
/** @typedef {import('./handles').SendOptions} SendOptions */
/** @typedef {{ message: any, handle: any, options: SendOptions, done?: Done }} Queued */
/** @typedef {{ envelope: object, fd: number, release: () => void, tries: number }} InFlight */

/**
 * @typedef {object} Hooks
 * @property {() => void} [beforeClose] the channel is about to be closed from this side
 * @property {() => void} [afterEnd] the channel has ended, from whichever side
 */

/**
 * Gives `target` the channel.
 * @param {any} target `process` or a `ChildProcess`
 * @param {import('../native').Channel} native
 * @param {boolean} advanced serialization
 * @param {Hooks} hooks
 */
function attachChannel(target, native, advanced, hooks) {
  const reference = new Control(native);
  const outbox = new Outbox(native, (error) => target.emit('error', error));
  const inbox = new Inbox(target);
  /** Messages that wait for the acknowledgement of a handle, so that the order is kept. */
  let queue = /** @type {Queued[] | null} */ (null);
  let inFlight = /** @type {InFlight | null} */ (null);

  const peer = { target, sendInternal, sent: new Map(), received: new Map() };

  function send(/** @type {any} */ message, /** @type {any} */ handle, ...rest) {
    let [options, done] = rest;
    if (typeof handle === 'function') {
      done = handle;
      handle = undefined;
      options = undefined;
    } else if (typeof options === 'function') {
      done = options;
      options = undefined;
    } else if (options !== undefined && (options === null || typeof options !== 'object')) {
      throw errors.invalidArgType('options', 'of type object', options);
    }
    if (typeof done !== 'function') done = undefined;
    if (!target.connected) {
      const error = errors.channelClosed();
      process.nextTick(done ?? (() => target.emit('error', error)), error);
      return false;
    }
    return sendChecked({ message, handle, options: options ?? {}, done });
  }

  /** @param {Queued} item */
  function sendChecked(item) {
    const { message, handle } = item;
    if (message === undefined) throw errors.missingArgument('message');
    if (message?.[WRITE]) {
      outbox.flush();
      message[WRITE]();
      return true;
    }
    if (!MESSAGE_TYPES.has(typeof message)) {
      const types = 'one of type string, object, number, or boolean';
      throw errors.invalidArgType('message', types, message);
    }
    if (handle) handles.typeOf(handle);
    if (queue) {
      queue.push(item);
      return queue.length === 1;
    }
    write(item);
    return outbox.hasRoom;
  }

  /** @param {Queued} item */
  function write({ message, handle, options, done }) {
    const prepared = handle ? handles.prepare(peer, message, handle, options) : null;
    if (prepared) {
      queue = [];
      inFlight = { ...prepared, tries: 0 };
      writeHandle(inFlight, done);
    } else if (advanced) {
      const bytes = serialization.advanced.encode(message);
      outbox.send((channel) => channel.sendAdvanced(bytes), done);
    } else {
      outbox.sendJson(serialization.json.encode(message), done);
    }
  }

  /** @param {InFlight} sending @param {Done} [done] */
  function writeHandle({ envelope, fd }, done) {
    if (advanced) {
      const bytes = serialization.advanced.encode(envelope);
      outbox.send((channel) => channel.sendAdvancedHandle(bytes, fd), done);
    } else {
      const text = serialization.json.encode(envelope);
      outbox.send((channel) => channel.sendJsonHandle(text, fd), done);
    }
  }

  /** For the bookkeeping of sent sockets, in the form in which the builtin sends it. */
  function sendInternal(/** @type {object} */ message, /** @type {boolean} */ swallowErrors) {
    if (!target.channel) return;
    const done = swallowErrors ? () => {} : undefined;
    if (queue) queue.push({ message, handle: undefined, options: {}, done });
    else write({ message, handle: undefined, options: {}, done });
  }

  function onHandleReceived(/** @type {boolean} */ received) {
    if (!inFlight) return;
    if (!received && inFlight.tries++ < MAX_RETRANSMISSIONS) {
      writeHandle(inFlight);
      return;
    }
    if (!received) {
      process.emitWarning(
        'Handle did not reach the receiving process correctly',
        'SentHandleNotReceivedWarning',
      );
    }
    dropInFlight();
    const waiting = queue ?? [];
    queue = null;
    for (const item of waiting) {
      if (queue) queue.push(item);
      else write(item);
    }
    if (!queue && !target.connected && target.channel) close();
  }

  /** The receiver has it, or never will: our side of it is closed. */
  function dropInFlight() {
    inFlight?.release();
    inFlight = null;
  }

  function disconnect() {
    if (!target.connected) {
      target.emit('error', errors.disconnected());
      return;
    }
    target.connected = false;
    // What waits behind a handle still goes out; the last acknowledgement closes.
    if (!queue) close();
  }

  function close() {
    outbox.flush();
    hooks.beforeClose?.();
    end();
  }

  function end() {
    target.connected = false;
    target.channel = null;
    dropInFlight();
    queue = null;
    native.close();
    process.nextTick(() => {
      target.emit('disconnect');
      hooks.afterEnd?.();
    });
  }

  /**
   * @param {{ text?: string, bytes?: Buffer, fd?: number }} event a message with a handle
   */
  function onHandle({ text, bytes, fd }) {
    native.acknowledgeHandle(fd !== undefined);
    if (fd === undefined) return;
    const envelope = bytes
      ? serialization.advanced.decode(bytes)
      : serialization.json.decode(/** @type {string} */ (text));
    handles.receive(peer, envelope, fd, (handle) => inbox.add([envelope.msg], handle));
  }

  function onEvent(/** @type {import('../native').Event} */ event) {
    if (!target.channel) return;
    switch (event.type) {
      case 'json':
        if (event.count === 1) inbox.add([serialization.json.decode(event.text)]);
        else inbox.add(serialization.json.decode(`[${event.text}]`));
        break;
      case 'advanced':
        inbox.add([serialization.advanced.decode(event.bytes)]);
        break;
      case 'jsonHandle':
      case 'advancedHandle':
        onHandle(event);
        break;
      case 'handleReceived':
        onHandleReceived(event.received);
        break;
      case 'written':
        outbox.onWritten(event.bytes, event.unsent);
        break;
      case 'closed':
        if (event.error !== undefined && event.error !== null) {
          target.emit('error', errors.system(event.error, 'read'));
        }
        if (target.channel) end();
        break;
      default:
        throw new Error(`A channel has no event '${event.type}'`);
    }
  }

  target.connected = true;
  target.channel = reference;
  target.send = send;
  target.disconnect = disconnect;
  return { control: reference, onEvent, outbox };
}

/**
 * `process.channel`: keeps the event loop alive while someone listens, unless the program has said
 * what it wants. https://nodejs.org/api/process.html#processchannel
 */
class Control extends EventEmitter {
  #native;
  #listeners = 0;
  #explicit = false;

  /** @param {import('../native').Channel} native */
  constructor(native) {
    super();
    this.#native = native;
  }

  refCounted() {
    if (++this.#listeners === 1 && !this.#explicit) this.#native.setRef(true);
  }

  unrefCounted() {
    if (--this.#listeners === 0 && !this.#explicit) {
      this.#native.setRef(false);
      this.emit('unref');
    }
  }

  ref() {
    this.#explicit = true;
    this.#native.setRef(true);
  }

  unref() {
    this.#explicit = true;
    this.#native.setRef(false);
  }

  get fd() {
    return this.#native.fd;
  }
}

/**
 * Messages that have arrived, each to be its own event in a tick of its own: an exception in one
 * listener disturbs no other message.
 */
class Inbox {
  #target;
  /** @type {{ message: any, handle: any }[]} */
  #waiting = [];
  #next = 0;
  #scheduled = false;

  /** @param {EventEmitter} target */
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
    process.nextTick(() => this.#deliver());
  }

  #deliver() {
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

/** Node keeps messages with a `cmd` that begins so to itself. */
const INTERNAL_PREFIX = 'NODE_';

function isInternal(/** @type {any} */ message) {
  return (
    typeof message?.cmd === 'string' &&
    message.cmd.length > INTERNAL_PREFIX.length &&
    message.cmd.startsWith(INTERNAL_PREFIX)
  );
}
