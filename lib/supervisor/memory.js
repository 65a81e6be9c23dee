'use strict';

const fs = require('fs');

module.exports = { residentMemoryOf };

/**
 * The resident memory of a process in bytes, without asking it; undefined where `/proc` does not
 * tell.
 * @param {number | undefined} pid
 */
function residentMemoryOf(pid) {
  try {
    const match = /^VmRSS:\s*(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
    return match ? Number(match[1]) * 1024 : undefined;
  } catch {
    return undefined;
  }
}
