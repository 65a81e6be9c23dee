'use strict';

/**
 * Everything that the command prints while an app runs: for a person a line for each event and
 * each line of a worker, who said it in front; for a machine a JSON object for each.
 */

const { colours, emphasis, wantsColour } = require('./colour');
const { sentence } = require('./sentences');

module.exports = { makePrinter };

/**
 * @typedef {object} Printer
 * @property {(event: import('./events').Event) => void} event
 * @property {(slot: number, pid: number, stream: 'stdout' | 'stderr', line: string) => void} output
 */

const OWN_NAME = 'rust-cluster';

/** For who sits at the terminal. */
const HINT = 'Ctrl-C stops it; from another terminal: rust-cluster status, reload, scale, stop';

/** What an escape sequence begins with. */
const ESCAPE = '\x1b';

/** @type {('cyan' | 'green' | 'magenta' | 'blue' | 'yellow')[]} one slot after the other */
const SLOT_COLOURS = ['cyan', 'green', 'magenta', 'blue', 'yellow'];

/**
 * @param {{ json?: boolean, time?: boolean }} options
 * @returns {Printer}
 */
function makePrinter({ json, time }) {
  for (const stream of [process.stdout, process.stderr]) {
    // Whoever has read this is gone. That is no reason to stop serving; the lines are lost.
    stream.on('error', () => {});
  }
  return json ? jsonPrinter() : personPrinter(time === true);
}

/** @returns {Printer} */
function jsonPrinter() {
  const print = (/** @type {object} */ what) => {
    process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...what })}\n`);
  };
  return {
    event: print,
    output: (slot, pid, stream, line) => print({ event: 'output', slot, pid, stream, line }),
  };
}

/** @param {boolean} time @returns {Printer} */
function personPrinter(time) {
  const paints = {
    stdout: colours(wantsColour(process.stdout)),
    stderr: colours(wantsColour(process.stderr)),
  };
  const clock = () => (time ? `${new Date().toISOString()} ` : '');
  return {
    event(event) {
      const said = sentence(event);
      if (said === undefined) return;
      const stream = said.level === 'info' ? 'stdout' : 'stderr';
      const paint = paints[stream];
      const write = emphasis(paint, said.level);
      const prefix = paint.dim(`${clock()}${OWN_NAME} |`);
      const lines = said.text.split('\n').map((line) => `${prefix} ${write(line)}\n`);
      process[stream].write(lines.join(''));
      if (event.event === 'running' && process.stdout.isTTY) {
        process.stdout.write(`${prefix} ${paint.dim(HINT)}\n`);
      }
    },
    output(slot, pid, stream, line) {
      const paint = paints[stream];
      const who = `${slot}:${pid}`.padEnd(OWN_NAME.length);
      const prefix = paint[SLOT_COLOURS[slot % SLOT_COLOURS.length]](`${clock()}${who} |`);
      // A colour that the line leaves switched on would go on in the next one.
      const reset = line.includes(ESCAPE) ? `${ESCAPE}[0m` : '';
      process[stream].write(`${prefix} ${line}${reset}\n`);
    },
  };
}
