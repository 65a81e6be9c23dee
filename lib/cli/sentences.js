'use strict';

/** What a person is told about an event: the supervisor's words, and those of the command itself. */

const supervisor = require('../supervisor/sentences');

module.exports = { addressText, sentence };

/** @typedef {import('./events').Event} Event */

/** @type {Record<string, (event: any) => string>} */
const OWN = {
  app: ({ name, script, pid }) => `${name}: ${script} (pid ${pid})`,
  listening: (event) => `listening on ${addressText(event)}`,
};

/**
 * @param {Event} event
 * @returns {import('../supervisor/sentences').Sentence | undefined} undefined for what nobody has
 * to know
 */
function sentence(event) {
  const own = OWN[event.event];
  return own ? { level: 'info', text: own(event) } : supervisor.sentence(event);
}

/** @param {import('cluster').Address} address */
function addressText({ addressType, address, port }) {
  if (addressType === -1) return address;
  const protocol = typeof addressType === 'string' ? 'UDP ' : '';
  const isAny = !address || address === '::' || address === '0.0.0.0';
  if (isAny) return `${protocol}port ${port}`;
  return `${protocol}${address.includes(':') ? `[${address}]` : address}:${port}`;
}
