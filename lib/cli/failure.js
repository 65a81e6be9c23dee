'use strict';

/** How the command ends when it could not do what was asked, and with which code. */

/** Documented in docs/command.md; scripts rely on them. */
const EXIT = Object.freeze({
  ok: 0,
  /** It was tried and did not work: the app does not come up, a reload was given up. */
  failed: 1,
  /** The command line or the configuration is wrong; nothing was tried. */
  usage: 2,
  /** No such app is running; what `systemctl status` and LSB scripts say with the same code. */
  notRunning: 3,
  /** An app of this name is running already. */
  alreadyRunning: 4,
});

/** A message for the person at the terminal: printed without a stack. */
class Failure extends Error {
  /**
   * @param {number} exitCode
   * @param {string} message
   * @param {string} [hint] what to do about it
   */
  constructor(exitCode, message, hint) {
    super(message);
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

module.exports = { EXIT, Failure };
