'use strict';

/**
 * The JavaScript stack of another process, also of one whose event loop does not turn: SIGUSR1
 * makes Node listen for a debugger, on a thread of its own, and a debugger may interrupt.
 */

const { fileURLToPath } = require('url');

const { Debugger } = require('./debugger');
const { listeningPortsOf } = require('./listen-fds');

module.exports = { stackOf };

/** For all of it. What blocks outside of JavaScript, say in a system call, is not interrupted. */
const TIMEOUT = 5000;
const LOOK_AGAIN_AFTER = 20;

/**
 * @param {number} pid
 * @returns {Promise<string | undefined>}
 */
async function stackOf(pid) {
  const abort = AbortSignal.timeout(TIMEOUT);
  try {
    const before = new Set(listeningPortsOf(pid));
    process.kill(pid, 'SIGUSR1');
    while (!abort.aborted) {
      for (const port of listeningPortsOf(pid).filter((each) => !before.has(each))) {
        const stack = await stackAt(port, abort);
        if (stack !== undefined) return stack;
        before.add(port);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_AFTER));
    }
  } catch {
    // It has ended, or is not ours to look into: then there is no stack.
  }
  return undefined;
}

/**
 * @param {number} port
 * @param {AbortSignal} abort
 */
async function stackAt(port, abort) {
  const client = await Debugger.connect(port, abort);
  if (!client) return undefined;
  try {
    const paused = client.event('Debugger.paused');
    client.send('Debugger.enable');
    client.send('Debugger.pause');
    const { callFrames } = await paused;
    return callFrames
      .map((/** @type {any} */ frame) => describeFrame(frame, client.scripts))
      .join('\n');
  } finally {
    client.close();
  }
}

/** @param {any} frame @param {Map<string, string>} scripts */
function describeFrame({ functionName, url, location }, scripts) {
  const { scriptId, lineNumber, columnNumber = 0 } = location;
  const script = url || scripts.get(scriptId) || '<anonymous>';
  const file = script.startsWith('file:') ? fileURLToPath(script) : script;
  const place = `${file}:${lineNumber + 1}:${columnNumber + 1}`;
  return `    at ${functionName ? `${functionName} (${place})` : place}`;
}
