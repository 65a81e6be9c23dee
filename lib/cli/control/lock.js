'use strict';

/** Lets one process at a time do something: the one that has made a directory. */

const fs = require('fs');
const { setTimeout: wait } = require('timers/promises');

module.exports = { alone };

/** What is done takes milliseconds: who has had it for so long (in ms) was killed meanwhile. */
const MAX_AGE = 10_000;
const LOOK_AGAIN_AFTER = 20;

/**
 * @template T
 * @param {string} directory
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function alone(directory, work) {
  while (!take(directory)) await wait(LOOK_AGAIN_AFTER);
  try {
    return await work();
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {string} directory */
function take(directory) {
  try {
    fs.mkdirSync(directory);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    const made = fs.statSync(directory, { throwIfNoEntry: false });
    if (made && Date.now() - made.mtimeMs > MAX_AGE) {
      fs.rmSync(directory, { recursive: true, force: true });
    }
    return false;
  }
}
