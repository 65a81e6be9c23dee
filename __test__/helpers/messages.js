'use strict';

// For the tests of messages: programs of fixtures/messages/, which take their options as JSON.

const path = require('node:path');

const { start } = require('./program');

module.exports = { eventsIn, fixture, runToEnd, startFixture };

/** The path of a fixture. @param {string} name */
function fixture(name) {
  return path.join(__dirname, '..', 'fixtures', 'messages', name);
}

/** Starts a fixture. @param {object} [how] options of `start` */
function startFixture(t, name, options = {}, how = {}) {
  return start(t, fixture(name), { ...how, args: [JSON.stringify(options)] });
}

/** Runs a fixture to its end. Resolves with how it ended and all that it said. */
async function runToEnd(t, name, options, how) {
  const end = await startFixture(t, name, options, how).exit;
  return { ...end, events: eventsIn(end.stdout) };
}

/** The events of a program, from what it has printed. @param {string} stdout */
function eventsIn(stdout) {
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line));
}
