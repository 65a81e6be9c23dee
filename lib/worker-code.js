'use strict';

/**
 * All that a worker runs of ours before its program, as one script: `dist/worker.js`, which
 * `scripts/bundle.js` makes of `child.js`. To find, read and compile a dozen files would take longer
 * than all else that we do there.
 *
 * The primary gives the script to its workers together with what V8 has compiled of it
 * (https://nodejs.org/api/vm.html#scriptcreatecacheddata), once it had the time to. `preload.js`
 * runs it.
 */

const fs = require('fs');
const path = require('path');
const vm = require('vm');

const { rehearse } = require('./rehearsal');

module.exports = { prepare, prepareOnce };

const FILE = path.join(__dirname, '../dist/worker.js');

/** After the first worker is online, in milliseconds: those that start with it need the CPUs. */
const DELAY = 100;

let begun = false;

/**
 * For later workers: the first ones have no time to wait for it.
 * @param {import('../native').Primary} native
 */
function prepareOnce(native) {
  if (begun) return;
  begun = true;
  const give = () => {
    try {
      const { source, cache } = prepare();
      native.setWorkerCode(source, cache);
    } catch {
      // For want of a descriptor, say: then workers read and compile it themselves.
    }
  };
  setTimeout(give, DELAY).unref();
}

function prepare() {
  const source = fs.readFileSync(FILE, 'utf8');
  const script = new vm.Script(source, { filename: FILE });
  try {
    rehearse(script.runInThisContext());
  } catch {
    // Somebody has changed what it is played with. What has run until then is in the cache.
  }
  return { source, cache: script.createCachedData() };
}
