import { A, B, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

describe('RLS046 shared-sequence', () => {
  let db: NoteDatabase;
  const invoice = declared('invoice');
  const found = () => db.findingsOf('RLS046', [invoice]);

  beforeAll(async () => {
    db = await createNoteDatabase();
  });
  afterEach(() => db.as('migrator', 'DROP TABLE IF EXISTS invoice; DROP SEQUENCE IF EXISTS counter'));
  afterAll(() => db.drop());

  const createInvoice = async (number: string, grant: string) => {
    await db.as(
      'migrator',
      `CREATE TABLE invoice (number ${number}, tenant_id uuid NOT NULL, body text);
       ${protectSql(invoice, db.roles.admin)}
       GRANT SELECT, INSERT ON invoice TO ${db.roles.app};
       GRANT ${grant} ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app}`,
    );
    await db.asSuperuser(
      `INSERT INTO invoice (tenant_id) SELECT '${B}' FROM generate_series(1, 30); INSERT INTO invoice (tenant_id) VALUES ('${A}')`,
    );
  };
  const lastValue = (sequence = 'invoice_number_seq') =>
    db.asTenantA<{ last: string | null }>(
      `SELECT last_value::text AS last FROM pg_sequences WHERE sequencename = '${sequence}'`,
    );
  const expectFixed = async (severity: string, sequence = 'invoice_number_seq') => {
    const findings = await found();
    expect(findings).toMatchObject([{ ruleId: 'RLS046', severity, object: `sequence "public.${sequence}"` }]);
    await db.as('migrator', findings[0]!.fix);
    expect(await lastValue(sequence)).toEqual([{ last: null }]);
    await expect(db.asTenantA(`SELECT nextval('${sequence}')`)).rejects.toThrow('permission denied');
    await expect(db.asTenantA(`SELECT last_value FROM ${sequence}`)).rejects.toThrow('permission denied');
    // Numbers go on where they were, and need no privilege.
    const [{ number }] = (await db.asTenantA<{ number: number }>(
      `INSERT INTO invoice (tenant_id) VALUES ('${A}') RETURNING number`,
    )) as [{ number: number }];
    expect(number).toBeGreaterThan(31);
    expect(await found()).toEqual([]);
  };

  it('its last value tells how many rows all tenants have added, and it is found', async () => {
    await createInvoice('serial', 'SELECT, USAGE');
    expect(await db.asTenantA('SELECT number FROM invoice')).toHaveLength(1);
    expect(await db.asTenantA('SELECT last_value::int FROM invoice_number_seq')).toEqual([
      { last_value: 31 },
    ]);
    await expectFixed('info');
  });

  it('USAGE alone tells as much, which linters take for harmless', async () => {
    await createInvoice('serial', 'USAGE');
    await expect(db.asTenantA('SELECT last_value FROM invoice_number_seq')).rejects.toThrow(
      'permission denied',
    );
    expect(await lastValue()).toEqual([{ last: '31' }]);
    expect(await db.asTenantA(`SELECT nextval('invoice_number_seq')::int AS next`)).toEqual([{ next: 32 }]);
    await expectFixed('info');
  });

  it('UPDATE lets one tenant make the inserts of all others collide, and is a warning', async () => {
    await createInvoice('serial PRIMARY KEY', 'ALL');
    await db.asTenantA(`SELECT setval('invoice_number_seq', 1, false)`);
    await expect(
      db.as('app', `SET rls.current_tenant = '${B}'; INSERT INTO invoice (tenant_id) VALUES ('${B}')`),
    ).rejects.toThrow('duplicate key');
    await db.asSuperuser(`SELECT setval('invoice_number_seq', 31)`);
    await expectFixed('warning');
  });

  it('an identity needs no privilege, and one that was granted is found', async () => {
    await createInvoice('int GENERATED ALWAYS AS IDENTITY', 'SELECT');
    expect(await lastValue()).toEqual([{ last: '31' }]);
    await expectFixed('info');
  });

  it('a sequence that belongs to no column is found by the default that calls it', async () => {
    await db.as('migrator', 'CREATE SEQUENCE counter');
    await createInvoice(`int NOT NULL DEFAULT nextval('counter')`, 'USAGE');
    await expectFixed('info', 'counter');
  });

  it('the own numbers still tell by their gaps what others added: only random ids, or numbers of each tenant, do not', async () => {
    await createInvoice('int GENERATED ALWAYS AS IDENTITY', 'SELECT');
    await db.as('migrator', (await found())[0]!.fix);
    await db.asTenantA(`INSERT INTO invoice (tenant_id) VALUES ('${A}')`);
    await db.asSuperuser(`INSERT INTO invoice (tenant_id) SELECT '${B}' FROM generate_series(1, 5)`);
    await db.asTenantA(`INSERT INTO invoice (tenant_id) VALUES ('${A}')`);
    expect(
      await db.asTenantA('SELECT max(number) - min(number) AS gap FROM invoice WHERE number > 31'),
    ).toEqual([{ gap: 6 }]);
  });

  it('says nothing of sequences that number no tenant table', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE country (id serial); GRANT USAGE, SELECT ON SEQUENCE country_id_seq TO ${db.roles.app}`,
    );
    expect(await db.findingsOf('RLS046')).toEqual([]);
    await db.as('migrator', 'DROP TABLE country');
  });
});
