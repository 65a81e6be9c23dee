'use strict';

/**
 * `send`, `disconnect`, `connected`, `channel` and the events `'message'`, `'internalMessage'` and
 * `'disconnect'` on a process: on the child's `ChildProcess` in the primary, on `process` in a
 * worker. As `child_process.fork` has them (https://nodejs.org/api/child_process.html), with bytes
 * and descriptors carried by the native channel.
 */

const { addon } = require('./addon');
const errors = require('./errors');
const { Inbox } = require('./inbox');
const { Outbox } = require('./outbox');
const { Reference } = require('./reference');
const serialization = require('./serialization');

/** Most programs never send or receive one. */
const handles = () => require('./handles');

/** How often a handle that was lost on the way is sent again. */
const MAX_RETRANSMISSIONS = 3;

const CONTROL = Symbol('control');

/**
 * Says something of the cluster's own to the other process. It goes through `target.send` in the
 * form that the builtin gives it, for programs that wrap that function, and behind all that was
 * sent before; what arrives is what `write` sends.
 * @param {any} target `process` or a `ChildProcess`
 * @param {object} message
 * @param {() => void} write
 */
function tell(target, message, write) {
  if (!target.connected) return;
  let written = false;
  const entry = {
    accepted: false,
    write() {
      if (!written) write();
      written = true;
    },
  };
  target.send({ cmd: 'NODE_CLUSTER', ...message, [CONTROL]: entry });
  // A wrapper keeps it to itself, perhaps until later, but without it the cluster would not work.
  if (!entry.accepted) entry.write();
}

/** @typedef {(message?: any, handle?: any, options?: any, done?: any) => boolean} Send */
/** @typedef {(error: Error | null) => void} Done */
/** @typedef {import('./handles').SendOptions} SendOptions */
/** @typedef {{ message: any, handle?: any, options: SendOptions, done?: Done }} Item */
/** @typedef {import('./handles').Prepared & { tries: number }} InFlight */

/**
 * @typedef {object} Hooks
 * @property {() => void} [beforeClose] the channel is about to be closed from this side
 * @property {() => void} [afterEnd] the channel has ended, from whichever side
 */

/** What says that there is nobody at the other end. */
const GONE = new Set(['EPIPE', 'ECONNRESET', 'ERR_IPC_CHANNEL_CLOSED']);

/** Throws for what cannot be a message. */
function check(/** @type {unknown} */ message) {
  switch (typeof message) {
    case 'string':
    case 'object':
    case 'number':
    case 'boolean':
      return;
    case 'undefined':
      throw errors.missingArgument('message');
    default:
      throw errors.invalidArgType(
        'message',
        'one of type string, object, number, or boolean',
        message,
      );
  }
}

class Channel {
  #target;
  #native;
  #codec;
  #hooks;
  #inbox;
  #peer;
  /** Items that wait for the acknowledgement of a handle, so that the order is kept. */
  #queue = /** @type {Item[] | null} */ (null);
  #inFlight = /** @type {InFlight | null} */ (null);

  /**
   * Gives `target` the channel.
   * @param {any} target `process` or a `ChildProcess`
   * @param {import('../native').Channel} native
   * @param {boolean} advanced serialization
   * @param {Hooks} hooks
   */
  constructor(target, native, advanced, hooks) {
    this.#target = target;
    this.#native = native;
    this.#hooks = hooks;
    this.#inbox = new Inbox(target);
    this.#peer = {
      target,
      sendInternal: (/** @type {object} */ message, /** @type {boolean} */ swallowErrors) =>
        this.#sendInternal(message, swallowErrors),
      sent: new Map(),
      received: new Map(),
    };
    this.#codec = advanced ? serialization.advanced : serialization.json;
    this.outbox = new Outbox(native, (error) => target.emit('error', error));
    this.reference = new Reference(native);
    target.connected = true;
    target.channel = this.reference;
    /** @type {Send} */
    target.send = (message, handle, options, done) => this.#send(message, handle, options, done);
    target.disconnect = () => this.#disconnect();
  }

  // Sending --------------------------------------------------------------------------------------

  /** @param {any} [message] @param {any} [handle] @param {any} [options] @param {any} [done] */
  #send(message, handle, options, done) {
    if (typeof handle === 'function') {
      done = handle;
      handle = undefined;
      options = undefined;
    } else if (typeof options === 'function') {
      done = options;
      options = undefined;
    } else if (
      options !== undefined &&
      (options === null || typeof options !== 'object' || Array.isArray(options))
    ) {
      throw errors.invalidArgType('options', 'of type object', options);
    }
    if (typeof done !== 'function') done = undefined;
    if (!this.#target.connected) {
      const error = errors.channelClosed();
      process.nextTick(done ?? (() => this.#target.emit('error', error)), error);
      return false;
    }
    return this.#sendItem({ message, handle, options: options ?? {}, done });
  }

  /** @param {Item} item */
  #sendItem(item) {
    const { message, handle } = item;
    check(message);
    if (message?.[CONTROL]) message[CONTROL].accepted = true;
    if (handle) handles().typeOf(handle);
    if (this.#queue) {
      this.#queue.push(item);
      return this.#queue.length === 1;
    }
    this.#write(item);
    return this.outbox.hasRoom;
  }

  /** @param {Item} item */
  #write({ message, handle, options, done }) {
    if (message?.[CONTROL]) {
      this.outbox.flush();
      message[CONTROL].write();
      return;
    }
    const prepared = handle ? handles().prepare(this.#peer, message, handle, options) : null;
    if (prepared) {
      this.#sendHandle(prepared, done);
    } else {
      this.outbox.add(this.#codec.encode(message), done);
    }
  }

  /** @param {import('./handles').Prepared} prepared @param {Done} [done] */
  #sendHandle(prepared, done) {
    let sent = false;
    try {
      sent = this.#writeHandle(prepared, done) >= 0;
    } finally {
      if (!sent) prepared.release();
    }
    if (!sent) return;
    this.#queue = [];
    this.#inFlight = { ...prepared, tries: 0 };
  }

  /** @param {import('./handles').Prepared} prepared @param {Done} [done] */
  #writeHandle({ envelope, fd }, done) {
    return this.outbox.send((channel) => this.#codec.writeHandle(channel, envelope, fd), done);
  }

  /** For the bookkeeping of sent sockets, in the form in which the builtin sends it. */
  #sendInternal(/** @type {object} */ message, /** @type {boolean} */ swallowErrors) {
    if (!this.#target.channel) return;
    const item = { message, options: {}, done: swallowErrors ? () => {} : undefined };
    if (this.#queue) this.#queue.push(item);
    else this.#write(item);
  }

  #onHandleReceived(/** @type {boolean} */ received) {
    const inFlight = this.#inFlight;
    if (!inFlight) return;
    // Only what is ours to close is still what it was; another descriptor's number may be a file's.
    if (!received && inFlight.owned && inFlight.tries++ < MAX_RETRANSMISSIONS) {
      if (this.#writeHandle(inFlight) >= 0) return;
    }
    if (!received) {
      process.emitWarning(
        'Handle did not reach the receiving process correctly',
        'SentHandleNotReceivedWarning',
      );
    }
    this.#dropInFlight();
    this.#writeQueue();
    if (!this.#queue && !this.#target.connected && this.#target.channel) this.#close();
  }

  /**
   * Writes what waited, up to the next handle. If the other end has gone meanwhile, then as if that
   * had been known already: it is dropped, and only callbacks hear of it.
   */
  #writeQueue() {
    const waiting = this.#queue ?? [];
    this.#queue = null;
    while (waiting.length > 0 && !this.#queue) {
      const item = /** @type {Item} */ (waiting.shift());
      this.#write({ ...item, done: (error) => this.#waited(item, error) });
    }
    if (waiting.length > 0) this.#queue = waiting;
  }

  /** @param {Item} item @param {any} error */
  #waited({ done }, error) {
    const isGone = GONE.has(error?.code);
    if (done) done(isGone ? errors.channelClosed() : error);
    else if (error && !isGone) this.#target.emit('error', error);
  }

  /** The receiver has it, or never will: our side of it is closed. */
  #dropInFlight() {
    this.#inFlight?.release();
    this.#inFlight = null;
  }

  /**
   * Sends a message that several channels get, encoded once for all of the same serialization.
   * @param {unknown} message
   * @param {Map<object, any>} encoded what the others have encoded already
   */
  sendShared(message, encoded) {
    if (!this.#target.connected) return;
    if (this.#queue) {
      this.#queue.push({ message, options: {} });
      return;
    }
    if (!encoded.has(this.#codec)) encoded.set(this.#codec, this.#codec.encode(message));
    this.outbox.add(encoded.get(this.#codec));
  }

  /** Sends a message to all other workers, without JavaScript in the primary. */
  broadcast(/** @type {unknown} */ message) {
    const encoded = this.#codec.encode(message);
    this.outbox.send((channel) => serialization.broadcast(channel, encoded));
  }

  // Receiving ------------------------------------------------------------------------------------

  /**
   * @param {import('../native').EventType} type
   * @param {any} first @param {any} second what is said with it
   */
  onEvent(type, first, second) {
    switch (type) {
      // What one read brought is delivered even if a listener of its first message disconnects.
      case addon.EventType.Json:
        this.#inbox.add(serialization.decodeJson(first, second));
        break;
      case addon.EventType.Text:
        this.#inbox.add([first]);
        break;
      case addon.EventType.Advanced:
        this.#inbox.add(serialization.decodeAdvancedBatch(first, second));
        break;
      case addon.EventType.JsonHandle:
        this.#onHandle(second, () => JSON.parse(first));
        break;
      case addon.EventType.AdvancedHandle:
        this.#onHandle(second, () => serialization.decodeAdvanced(first));
        break;
      default:
        this.#onOther(type, first);
    }
  }

  /** @param {import('../native').EventType} type @param {any} said */
  #onOther(type, said) {
    switch (type) {
      case addon.EventType.HandleReceived:
        this.#onHandleReceived(said);
        break;
      case addon.EventType.Taken:
        this.outbox.onTaken(said);
        break;
      case addon.EventType.Closed:
        this.#onClosed(said);
        break;
      default:
        throw new Error(`A channel has no event of type ${type}`);
    }
  }

  /** @param {number | null} fd none if it was lost on the way @param {() => any} envelopeOf */
  #onHandle(fd, envelopeOf) {
    if (fd === null) {
      this.#native.acknowledgeHandle(false);
      return;
    }
    if (!this.#target.channel) {
      // Too rare to be loaded by each worker.
      require('fs').closeSync(fd);
      return;
    }
    this.#native.acknowledgeHandle(true);
    const envelope = envelopeOf();
    handles().receive(this.#peer, envelope, fd, (handle) =>
      this.#inbox.add([envelope.msg], handle),
    );
  }

  // The end --------------------------------------------------------------------------------------

  #onClosed(/** @type {number | null} */ errno) {
    const error = errors.channelClosed();
    this.outbox.fail(error);
    // It was closed from this side; what had not left then has done so now, or never will.
    if (!this.#target.channel) return;
    for (const { done } of this.#queue ?? []) if (done) process.nextTick(done, error);
    this.#end();
    if (errno !== null) {
      process.nextTick(() => this.#target.emit('error', errors.system(errno, 'read')));
    }
  }

  #disconnect() {
    if (!this.#target.connected) {
      this.#target.emit('error', errors.disconnected());
      return;
    }
    this.#target.connected = false;
    // What waits behind a handle still goes out; the last acknowledgement closes.
    if (!this.#queue) this.#close();
  }

  #close() {
    this.outbox.flush();
    this.#hooks.beforeClose?.();
    this.#end();
  }

  #end() {
    this.#target.connected = false;
    this.#target.channel = null;
    this.#dropInFlight();
    this.#queue = null;
    if (this.#native.close()) this.outbox.finish();
    process.nextTick(() => {
      this.#target.emit('disconnect');
      this.#hooks.afterEnd?.();
    });
  }
}

module.exports = { Channel, check, tell };
