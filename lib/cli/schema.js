'use strict';

/**
 * The JSON schema of the config file, made from the table of options. `schema.json` is what
 * `node lib/cli/schema.js` prints, put into form by prettier; a test holds the two together.
 */

const { KINDS } = require('./kinds');
const { OPTIONS } = require('./options');

module.exports = { makeSchema };

if (require.main === module) process.stdout.write(makeSchema());

/** @returns {string} */
function makeSchema() {
  const inFile = OPTIONS.filter(({ flagOnly }) => !flagOnly);
  const properties = inFile.map(({ key, kind, summary, byDefault }) => [
    key,
    {
      description: `${summary[0].toUpperCase()}${summary.slice(1)}.`,
      ...KINDS[kind].schema,
      ...(byDefault === undefined ? {} : { default: byDefault }),
    },
  ]);
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'rust-cluster.config.json',
    description: 'How `rust-cluster start` runs an app. Flags go before what stands here.',
    type: 'object',
    properties: { $schema: { type: 'string' }, ...Object.fromEntries(properties) },
    additionalProperties: false,
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
