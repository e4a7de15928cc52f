import { SERVER_VERSION } from '../support/database.js';
import { A, createNoteDatabase, declared, protectSql, type NoteDatabase } from './audit-support.js';

/** WITHOUT OVERLAPS exists since PostgreSQL 18. */
const since18 = SERVER_VERSION >= 180000 ? it : it.skip;

describe('RLS041 unique-without-tenant', () => {
  let db: NoteDatabase;
  const person = declared('person');

  beforeAll(async () => {
    db = await createNoteDatabase();
    // Its own primary key is a finding of severity info; see below.
    await db.as('migrator', 'DROP TABLE note');
  });
  afterEach(() => db.as('migrator', 'DROP TABLE IF EXISTS person, profile, app_login CASCADE'));
  afterAll(() => db.drop());

  const createPerson = async (columns: string, name = 'person') => {
    await db.as(
      'migrator',
      `CREATE TABLE ${name} (tenant_id uuid NOT NULL, email text, ${columns});
       ${protectSql({ ...person, table: name }, db.roles.admin)}
       GRANT SELECT, INSERT, UPDATE, DELETE ON ${name} TO ${db.roles.app}`,
    );
  };
  const insertOfB = (columns: string, values: string) =>
    db.asSuperuser(
      `INSERT INTO person (tenant_id, ${columns}) VALUES ('00000000-0000-4000-8000-00000000000b', ${values})`,
    );
  const tryAsA = (columns: string, values: string) =>
    db.asTenantA(`INSERT INTO person (tenant_id, ${columns}) VALUES ('${A}', ${values})`);
  const expectFixed = async (object: string, severity = 'error') => {
    const findings = await db.findingsOf('RLS041', [person]);
    expect(findings).toMatchObject([
      { ruleId: 'RLS041', severity, object: `${object} on table "public.person"` },
    ]);
    await db.as('migrator', findings[0]!.fix);
    expect(await db.findingsOf('RLS041', [person])).toEqual([]);
    return findings[0]!;
  };

  it('a duplicate tells which values another tenant has, and the constraint is found', async () => {
    await createPerson('CONSTRAINT email_key UNIQUE (email)');
    await insertOfB('email', `'b@x'`);
    expect(await db.asTenantA('SELECT * FROM person')).toEqual([]);
    await expect(tryAsA('email', `'b@x'`)).rejects.toThrow('duplicate key');
    // Without any error: nothing is inserted, and nothing is there to be seen.
    expect(
      await db.asTenantA(
        `INSERT INTO person (tenant_id, email) VALUES ('${A}', 'b@x') ON CONFLICT DO NOTHING RETURNING email`,
      ),
    ).toEqual([]);

    await expectFixed('constraint "email_key"');
    await tryAsA('email', `'b@x'`);
    await expect(tryAsA('email', `'b@x'`)).rejects.toThrow('duplicate key');
  });

  it('an index over an expression, with a condition, keeps both within each tenant', async () => {
    await createPerson('gone boolean NOT NULL DEFAULT false');
    await db.as(
      'migrator',
      'CREATE UNIQUE INDEX "é (x" ON person (lower(email)) INCLUDE (gone) WHERE NOT gone',
    );
    await insertOfB('email', `'B@x'`);
    await expect(tryAsA('email', `'b@X'`)).rejects.toThrow('duplicate key');

    await expectFixed('index "é (x"');
    await tryAsA('email', `'b@X'`);
    await expect(tryAsA('email', `'B@x'`)).rejects.toThrow('duplicate key');
    await tryAsA('email, gone', `'B@x', true`);
    expect(await db.asSuperuser(`SELECT pg_get_indexdef('"é (x"'::regclass) AS is`)).toEqual([
      {
        is: 'CREATE UNIQUE INDEX "é (x" ON public.person USING btree (tenant_id, lower(email)) INCLUDE (gone) WHERE (NOT gone)',
      },
    ]);
  });

  it('a tenant column that is only INCLUDEd is no key', async () => {
    await createPerson('CONSTRAINT email_key UNIQUE (email) INCLUDE (tenant_id)');
    await insertOfB('email', `'b@x'`);
    await expect(tryAsA('email', `'b@x'`)).rejects.toThrow('duplicate key');
    const [finding] = await db.findingsOf('RLS041', [person]);
    expect(finding).toMatchObject({
      severity: 'error',
      object: 'constraint "email_key" on table "public.person"',
    });
  });

  it('an exclusion constraint tells what another tenant has booked, and is found', async () => {
    await createPerson('during tsrange, CONSTRAINT busy EXCLUDE USING gist (during WITH &&)');
    await insertOfB('during', `'[2026-01-01, 2026-01-02)'`);
    await expect(tryAsA('during', `'[2026-01-01, 2026-01-03)'`)).rejects.toThrow('exclusion constraint');
    const { fix } = (await db.findingsOf('RLS041', [person]))[0]!;
    expect(fix).toMatch(/^CREATE EXTENSION IF NOT EXISTS btree_gist;/);
    await expectFixed('constraint "busy"');
    await tryAsA('during', `'[2026-01-01, 2026-01-03)'`);
    await expect(tryAsA('during', `'[2026-01-01, 2026-01-03)'`)).rejects.toThrow('exclusion constraint');
  });

  since18('a key WITHOUT OVERLAPS is one, too', async () => {
    await db.as('migrator', 'CREATE EXTENSION IF NOT EXISTS btree_gist');
    await createPerson('during tsrange, CONSTRAINT busy UNIQUE (email, during WITHOUT OVERLAPS)');
    await insertOfB('email, during', `'room', '[2026-01-01, 2026-01-02)'`);
    const book = () => tryAsA('email, during', `'room', '[2026-01-01, 2026-01-03)'`);
    await expect(book()).rejects.toThrow('exclusion constraint');
    await expectFixed('constraint "busy"');
    await book();
    await expect(book()).rejects.toThrow('exclusion constraint');
  });

  it('the primary key of numbers is found as information, and one of uuids is not', async () => {
    await createPerson('id serial PRIMARY KEY');
    await db.as('migrator', `GRANT USAGE ON SEQUENCE person_id_seq TO ${db.roles.app}`);
    await insertOfB('id', '7');
    await expect(tryAsA('id', '7')).rejects.toThrow('duplicate key');
    await expectFixed('constraint "person_pkey"', 'info');
    await tryAsA('id', '7');
    await db.as('migrator', 'DROP TABLE person');

    await createPerson('id int, day date, PRIMARY KEY (id, day)');
    await expectFixed('constraint "person_pkey"', 'info');
    await db.as('migrator', 'DROP TABLE person');

    await createPerson('id uuid PRIMARY KEY, other uuid, UNIQUE (other, email)');
    expect(await db.findingsOf('RLS041', [person])).toEqual([]);
  });

  it('the uuid of somebody several tenants know is as good as an address', async () => {
    await db.as('migrator', 'CREATE TABLE app_login (id uuid PRIMARY KEY)');
    await createPerson('login uuid REFERENCES app_login (id), CONSTRAINT login_key UNIQUE (login)');
    await db.asSuperuser(`INSERT INTO app_login VALUES ('${A}')`);
    await insertOfB('login', `'${A}'`);
    await expect(tryAsA('login', `'${A}'`)).rejects.toThrow('duplicate key');
    await expectFixed('constraint "login_key"');
    await tryAsA('login', `'${A}'`);
  });

  it('a number that references a row of the tenant’s own says only that the row is there', async () => {
    await createPerson('id int NOT NULL, PRIMARY KEY (tenant_id, id)');
    await createPerson(
      'person_id int CONSTRAINT one UNIQUE, FOREIGN KEY (tenant_id, person_id) REFERENCES person (tenant_id, id)',
      'profile',
    );
    expect(await db.findingsOf('RLS041', [person])).toMatchObject([
      { severity: 'info', object: 'constraint "one" on table "public.profile"' },
    ]);
  });

  it('a key that foreign keys need is not dropped under them: the fix says what comes first', async () => {
    await createPerson('id int PRIMARY KEY');
    await createPerson('person_id int REFERENCES person (id)', 'profile');
    const { fix } = (await db.findingsOf('RLS041', [person]))[0]!;
    expect(fix).toMatch(/^-- .*RLS040/);
    await expect(db.as('migrator', fix)).rejects.toThrow('other objects depend on it');
    await db.as('migrator', (await db.findingsOf('RLS040', [person]))[0]!.fix);
    await db.as('migrator', fix);
    expect(await db.findingsOf('RLS041', [person])).toEqual([]);
  });

  it('partitions: the partitioned table’s index is found once, and a leaf’s own too', async () => {
    await db.as(
      'migrator',
      `CREATE TABLE person (tenant_id uuid NOT NULL, day date, slug text) PARTITION BY RANGE (day);
       CREATE TABLE person_1 PARTITION OF person FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
       CREATE UNIQUE INDEX by_slug ON person (slug, day);
       CREATE UNIQUE INDEX leaf ON person_1 (slug);
       ${protectSql(person, db.roles.admin)} GRANT SELECT, INSERT ON person TO ${db.roles.app}`,
    );
    await insertOfB('day, slug', `'2026-01-01', 'launch'`);
    await expect(tryAsA('day, slug', `'2026-01-01', 'launch'`)).rejects.toThrow('duplicate key');
    const findings = await db.findingsOf('RLS041', [person]);
    expect(findings.map(({ object }) => object)).toEqual([
      'index "by_slug" on table "public.person"',
      'index "leaf" on table "public.person_1"',
    ]);
    for (const { fix } of findings) await db.as('migrator', fix);
    expect(await db.findingsOf('RLS041', [person])).toEqual([]);
    await tryAsA('day, slug', `'2026-01-01', 'launch'`);
    await expect(tryAsA('day, slug', `'2026-01-01', 'launch'`)).rejects.toThrow('duplicate key');
  });
});
