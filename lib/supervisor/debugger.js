'use strict';

/**
 * As much of a debugger's client as it takes to ask a process one thing: the inspector's protocol
 * over a WebSocket, which Node 20 cannot speak by itself.
 */

const { randomBytes } = require('crypto');
const http = require('http');

const TEXT = 0x81;
const MASKED = 0x80;
const HOST = '127.0.0.1';

class Debugger {
  /** The URLs of what has been loaded, by the ids that frames name. @type {Map<string, string>} */
  scripts = new Map();
  #socket;
  #lastId = 0;
  #received = Buffer.alloc(0);
  /** @type {Map<string, { resolve: (params: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();

  /** @param {import('net').Socket} socket @param {Buffer} head */
  constructor(socket, head) {
    this.#socket = socket;
    const fail = () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('The debugger has closed'));
    };
    socket.on('data', (bytes) => this.#onData(/** @type {Buffer} */ (bytes)));
    socket.on('error', fail).on('close', fail);
    if (head.length > 0) this.#onData(head);
  }

  /**
   * @param {number} port
   * @param {AbortSignal} signal ends it, at whatever point
   * @returns {Promise<Debugger | undefined>} undefined if something else listens there
   */
  static async connect(port, signal) {
    const targets = await getJson(port, signal);
    const url = targets?.[0]?.webSocketDebuggerUrl;
    if (typeof url !== 'string') return undefined;
    const headers = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    };
    return new Promise((resolve, reject) => {
      const request = http.get({ host: HOST, port, path: new URL(url).pathname, headers, signal });
      request.on('upgrade', (_response, socket, head) => {
        signal.addEventListener('abort', () => socket.destroy(), { once: true });
        resolve(new Debugger(/** @type {import('net').Socket} */ (socket), head));
      });
      request.on('response', () => request.destroy());
      request.on('error', reject);
    });
  }

  send(/** @type {string} */ method) {
    const payload = Buffer.from(JSON.stringify({ id: ++this.#lastId, method }));
    const mask = randomBytes(4);
    // Only short requests are sent.
    const header = Buffer.from([TEXT, MASKED | payload.length]);
    const masked = payload.map((byte, at) => byte ^ mask[at % 4]);
    this.#socket.write(Buffer.concat([header, mask, masked]));
  }

  /** @returns {Promise<any>} its parameters, when the event comes the next time */
  event(/** @type {string} */ name) {
    return new Promise((resolve, reject) => this.#waiting.set(name, { resolve, reject }));
  }

  close() {
    this.#socket.destroy();
  }

  #onData(/** @type {Buffer} */ bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (let frame = this.#takeFrame(); frame; frame = this.#takeFrame()) {
      const { method, params } = JSON.parse(frame);
      if (method === 'Debugger.scriptParsed') this.scripts.set(params.scriptId, params.url);
      this.#waiting.get(method)?.resolve(params);
    }
  }

  /** The inspector sends whole texts, each in one frame. */
  #takeFrame() {
    const all = this.#received;
    if (all.length < 2) return undefined;
    const short = all[1] & 0x7f;
    const start = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (all.length < start) return undefined;
    const length =
      start === 2 ? short : start === 4 ? all.readUInt16BE(2) : Number(all.readBigUInt64BE(2));
    if (all.length < start + length) return undefined;
    this.#received = all.subarray(start + length);
    return all.toString('utf8', start, start + length);
  }
}

/**
 * @param {number} port
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 */
function getJson(port, signal) {
  return new Promise((resolve) => {
    const request = http.get({ host: HOST, port, path: '/json/list', signal }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part));
      response.on('end', () => {
        try {
          resolve(JSON.parse(text));
        } catch {
          resolve(undefined);
        }
      });
    });
    request.on('error', () => resolve(undefined));
  });
}

module.exports = { Debugger };
