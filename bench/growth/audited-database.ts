import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { protectTable } from 'nestjs-rls-tenants/migrations';
import { ADMIN_ROLE, APP_ROLE, type BenchServer } from '../support/server.js';
import { auditedSource, auditedTable, FAMILY } from './audited-source.js';
import { migrateDatabase } from './migrate-database.js';
import { once, type Work } from './work.js';

export const POLICIES_PER_TABLE = 3;

/** `check-rls` on databases of so many protected tables. */
export function auditWork(server: BenchServer, folder: string, sizes: readonly number[]): Work {
  const output = join(folder, 'audit.json');
  const commandFor = once(async (tables) => {
    const database = await createDatabase(server, tables);
    const file = join(folder, `source-${tables}.mjs`);
    const module = new URL('audited-source.js', import.meta.url).href;
    const url = server.url(APP_ROLE, database);
    await writeFile(
      file,
      `import { auditedSource } from '${module}';\nexport default auditedSource('${url}', ${tables});\n`,
    );
    return ['check-rls', '--data-source', file, '--format', 'json', '--output', output];
  });
  return {
    name: 'audit',
    unit: 'tables',
    sizes,
    async prepare(tables) {
      const command = await commandFor(tables);
      return {
        job: { kind: 'command', warmUp: await commandFor(1), work: command },
        command,
        check: () => checkReport(output, tables),
      };
    },
  };
}

async function createDatabase(server: BenchServer, tables: number): Promise<string> {
  const database = `audited_${tables}`;
  await server.sql(`CREATE DATABASE ${database}`);
  await server.sql(`GRANT USAGE ON SCHEMA public TO ${APP_ROLE}, ${ADMIN_ROLE}`, database);
  const url = server.url('postgres', database);
  const source = auditedSource(url, tables).setOptions({ synchronize: true });
  await (await source.initialize()).destroy();
  const names = Array.from({ length: tables }, (_, n) => auditedTable(n));
  await migrateDatabase(
    url,
    names.map((table) =>
      protectTable({ table, tenantIdType: 'uuid', appRole: APP_ROLE, adminRole: ADMIN_ROLE }),
    ),
  );
  await server.sql(names.map(extras).join(';\n'), database);
  await server.sql('VACUUM ANALYZE', database);
  return database;
}

/** What a table has beside its protection; one of each family has a hole for the audit to find. */
function extras(table: string, n: number): string {
  const policy = `CREATE POLICY ${table}_keep ON ${table} AS RESTRICTIVE FOR DELETE TO ${APP_ROLE}
    USING (created_at < now() - interval '1 day')`;
  switch (n % FAMILY) {
    case 0:
      return `${policy}; CREATE VIEW ${table}_names WITH (security_invoker) AS SELECT id, name FROM ${table};
        GRANT SELECT ON ${table}_names TO ${APP_ROLE}`;
    case 1:
      return `${policy}; CREATE FUNCTION ${table}_touch() RETURNS trigger LANGUAGE plpgsql AS
          'BEGIN NEW.created_at := now(); RETURN NEW; END';
        CREATE TRIGGER touch BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${table}_touch()`;
    case 2:
      return `${policy}; ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY`;
    default:
      return policy;
  }
}

async function checkReport(file: string, tables: number): Promise<void> {
  const report = JSON.parse(await readFile(file, 'utf8')) as { tables: { policies: unknown[] }[] };
  const policies = report.tables.reduce((sum, table) => sum + table.policies.length, 0);
  if (report.tables.length !== tables || policies !== tables * POLICIES_PER_TABLE) {
    throw new Error(`${report.tables.length} of ${tables} tables were audited, with ${policies} policies.`);
  }
}
