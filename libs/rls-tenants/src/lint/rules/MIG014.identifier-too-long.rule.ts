import { MAX_IDENTIFIER_BYTES } from '../../policies/index.js';
import { defineRule } from '../rule.js';

/** MIG014: PostgreSQL cuts identifiers after 63 bytes without an error: two long names become one, and IF NOT EXISTS then skips the second. */
export const identifierTooLong = defineRule({
  id: 'MIG014',
  title: 'identifier-too-long',
  severity: 'error',
  reason:
    'PostgreSQL cuts identifiers after 63 bytes without an error: two long names become one, and IF NOT EXISTS then skips the second.',
  *find(migration) {
    for (const statement of migration.statements) {
      for (const name of statement.longIdentifiers) {
        yield {
          at: statement,
          message: `"${name}" has ${Buffer.byteLength(name)} bytes; PostgreSQL keeps the first ${MAX_IDENTIFIER_BYTES}.`,
          fix: `Choose a name of at most ${MAX_IDENTIFIER_BYTES} bytes.`,
        };
      }
    }
  },
});
