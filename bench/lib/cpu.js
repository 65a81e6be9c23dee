'use strict';

/** How much CPU time processes have used, from /proc, and how busy the machine is. */

const fs = require('node:fs');

/** Of `utime` and `stime` in /proc/<pid>/stat: USER_HZ is 100 on all platforms of Linux. */
const MICROSECONDS_PER_TICK = 10_000;

/** Fields behind the name of the program, which is in parentheses: see proc(5). */
const UTIME = 11;
const CSTIME = 14;

/**
 * CPU time used so far by all threads of these processes, in microseconds.
 * @param {...number} pids
 */
function cpuTime(...pids) {
  return pids.reduce((sum, pid) => sum + (threadsTime(pid) ?? processTime(pid)), 0);
}

/**
 * In nanoseconds, which matters for short measurements: a tick is 10 ms. Threads that have ended
 * are not in it; those of the processes measured here last.
 * @param {number} pid
 */
function threadsTime(pid) {
  try {
    let nanoseconds = 0;
    for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
      const text = fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8');
      nanoseconds += Number(text.split(' ')[0]);
    }
    return nanoseconds / 1000;
  } catch {
    return undefined;
  }
}

/**
 * In ticks, with children that have ended.
 * @param {number} pid
 */
function processTime(pid) {
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(UTIME, CSTIME + 1).reduce((sum, field) => sum + Number(field), 0);
  return ticks * MICROSECONDS_PER_TICK;
}

/** The load average of the last minute. */
function loadAverage() {
  return Number(fs.readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
}

module.exports = { cpuTime, loadAverage };
