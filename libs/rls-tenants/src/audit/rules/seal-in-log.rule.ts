import type { Catalog } from '../catalog.js';
import { revokeRole } from '../fix-sql.js';
import { defineRule } from '../rule.js';
import type { CatalogSeal } from '../seal-catalog.js';
import { quoteRole } from '../../policies/index.js';

/** RLS066: PostgreSQL's log shows what a statement's parameters are, and so the seals. */
export const sealInLog = defineRule({
  id: 'RLS066',
  title: 'seal-in-log',
  severity: 'info',
  reason:
    'Seals are parameters of statements. A log that holds parameters holds seals, and whoever reads it in time may be that tenant.',
  *find(catalog) {
    const [seal] = catalog.seals;
    if (!seal || catalog.appRole.superuser) return;
    const settings = loggingParameters(seal);
    if (settings.length === 0) return;
    const readers = waysToRead(catalog, seal);
    yield {
      ...(readers.length > 0 ? { severity: 'error' as const } : {}),
      object: `database "${catalog.server.database}"`,
      message:
        `The server's log holds the parameters of statements (${settings.join(', ')}), seals among them` +
        (readers.length > 0
          ? `, and the app role reads the server's files: ${readers.map(({ text }) => text).join('; ')}.`
          : '. Whoever reads it can use a seal until it expires; one that is bound, on that connection only.'),
      fix: [
        ...readers.map(({ fix }) => fix),
        `-- As a superuser. Statements stay in the log, their parameters do not.`,
        `ALTER DATABASE "${catalog.server.database.replaceAll('"', '""')}" SET log_parameter_max_length = 0;`,
      ].join('\n'),
    };
  },
});

/** The settings by which parameters are written. A length of 0 writes none, -1 all of them. */
function loggingParameters({ log }: CatalogSeal): string[] {
  const value = (name: string) => log[name] ?? '';
  const writes = (name: string) => value(name) !== '' && value(name) !== '-1';
  const statements = [
    ...(['mod', 'all'].includes(value('log_statement')) ? ['log_statement'] : []),
    ...['log_min_duration_statement', 'log_min_duration_sample'].filter(writes),
    ...(Number(value('log_transaction_sample_rate')) > 0 ? ['log_transaction_sample_rate'] : []),
  ];
  const explained = ['auto_explain.log_min_duration'].filter(writes);
  return [
    ...(value('log_parameter_max_length') === '0' ? [] : statements),
    ...(value('log_parameter_max_length_on_error') === '0' ||
    value('log_parameter_max_length_on_error') === ''
      ? []
      : ['log_parameter_max_length_on_error']),
    ...(value('auto_explain.log_parameter_max_length') === '0' ? [] : explained),
  ].map((name) => `${name} = ${value(name)}`);
}

const READS_FILES = 'pg_read_server_files';

function waysToRead(
  { appRole, roles }: Catalog,
  { fileReaders }: CatalogSeal,
): { text: string; fix: string }[] {
  const member = roles.get(READS_FILES);
  return [
    ...(member && (member.inherited || member.settable || member.grantable)
      ? [{ text: `it is a member of ${READS_FILES}`, fix: revokeRole(READS_FILES, appRole.name) }]
      : []),
    ...fileReaders.map((signature) => ({
      text: `it may call ${signature}`,
      fix: `REVOKE EXECUTE ON FUNCTION pg_catalog.${signature} FROM PUBLIC, ${quoteRole(appRole.name)};`,
    })),
  ];
}
