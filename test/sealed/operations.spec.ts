import { randomUUID } from 'node:crypto';
import { DataSource, type Logger, type QueryRunner } from 'typeorm';
import { isolateDataSource, type SealKey } from '../../libs/rls-tenants/src/connection/index.js';
import { tenantContext, type TenantIdType } from '../../libs/rls-tenants/src/context/index.js';
import { RlsConfigurationError } from '../../libs/rls-tenants/src/errors.js';
import {
  alterTenantPolicy,
  installSeal,
  protectedPartition,
  protectExistingTable,
  protectJoinTable,
  protectTable,
  removeSeal,
  sealJoinTable,
  sealKeys,
  sealTable,
  unprotectTable,
  upgradeSeal,
  type RlsOperation,
  type SealJoinTableOptions,
  type SealTableOptions,
} from '../../libs/rls-tenants/src/migrations/index.js';
import { catalogSnapshot } from '../migrations/catalog-snapshot.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { A, B, tenant } from '../support/notes.js';
import { newSealKey } from '../support/sealed-database.js';

const SHARED = tenant(3);

let db: TestDatabase;
let migrator: DataSource;
let queryRunner: QueryRunner;
let key: SealKey;

beforeEach(async () => {
  db = await createTestDatabase();
  key = newSealKey('first');
  migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
  queryRunner = migrator.createQueryRunner();
});
afterEach(async () => {
  await queryRunner.release();
  await migrator.destroy();
  await db.drop();
});

const roles = () => ({ adminRole: db.roles.admin, appRole: db.roles.app });
const settings = () => ({ tenantIdType: 'uuid', ...roles() }) as const;
const up = (...operations: RlsOperation[]) => each(operations, (one) => one.up(queryRunner));
const down = (...operations: RlsOperation[]) => each(operations, (one) => one.down(queryRunner));
const installed = (...keys: SealKey[]) =>
  up(installSeal(roles()), ...(keys.length > 0 ? [sealKeys({ keys: () => keys })] : []));

async function each(operations: RlsOperation[], work: (one: RlsOperation) => Promise<void>): Promise<void> {
  for (const one of operations) await work(one);
}

/** All that migrations change, and the functions, which {@link catalogSnapshot} leaves out. */
const snapshot = async (): Promise<Record<string, unknown[]>> => ({
  ...(await catalogSnapshot(db)),
  functions: await db.asSuperuser(
    `SELECT pg_get_functiondef(p.oid) AS definition, proacl::text, pg_get_userbyid(proowner) AS owner FROM pg_proc p
     WHERE pronamespace >= 16384 ORDER BY 1`,
  ),
});

/** Up, down, up, down: each way ends where the other began. */
async function roundTrip(operation: RlsOperation): Promise<void> {
  const before = await snapshot();
  await up(operation);
  const after = await snapshot();
  expect(after).not.toEqual(before);
  await down(operation);
  expect(await snapshot()).toEqual(before);
  await up(operation);
  expect(await snapshot()).toEqual(after);
  await down(operation);
  expect(await snapshot()).toEqual(before);
}

/** A refusal that changes nothing. */
async function expectRefusal(
  operation: RlsOperation,
  message: RegExp,
  hint: RegExp,
  way: 'up' | 'down' = 'up',
) {
  const before = await snapshot();
  const refusal: unknown = await operation[way](queryRunner).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(RlsConfigurationError);
  expect(refusal).toMatchObject({
    message: expect.stringMatching(message),
    hint: expect.stringMatching(hint),
  });
  expect(await snapshot()).toEqual(before);
}

/** What the app role sees that sets the tenant by itself, as an injected statement would. */
const forged = (tenantId: unknown, sql: string) =>
  db.as<{ n: number }>('app', `SELECT set_config('rls.current_tenant', '${String(tenantId)}', true); ${sql}`);
const refused = { code: '42501', message: expect.stringMatching(/^Seal refused/) };

/** What an application sees that seals. */
async function sealed<T>(
  tenantId: string | number,
  sql: string,
  tenantIdType: TenantIdType = 'uuid',
): Promise<T[]> {
  const app = await new DataSource({ type: 'postgres', url: db.url('app') }).initialize();
  try {
    await isolateDataSource(app, { tenantIdType, adminRole: db.roles.admin, seal: { keys: [key] } });
    return await tenantContext(tenantId, () => app.query<T[]>(sql));
  } finally {
    await app.destroy();
  }
}

describe('installSeal', () => {
  it('is undone without a trace', async () => {
    await expect(roundTrip(installSeal(roles()))).resolves.toBeUndefined();
    await expect(
      roundTrip(installSeal({ ...roles(), tenantSetting: 'acme.tenant' })),
    ).resolves.toBeUndefined();
  });

  it('lets nobody but the owner read the keys, not even a role with default privileges on everything', async () => {
    const reader = db.roles.app;
    await db.as(
      'migrator',
      `ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${reader};
       ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO ${db.roles.admin}, PUBLIC;
       ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO ${db.roles.admin} WITH GRANT OPTION;
       CREATE TABLE control (id int)`,
    );
    await installed(key);
    expect(await db.as('app', 'SELECT FROM control')).toEqual([]);
    for (const sql of [
      'SELECT FROM rls.seal_key',
      'INSERT INTO rls.seal_key (id) VALUES (1)',
      'DELETE FROM rls.seal_key',
      'CREATE TABLE rls.mine (id int)',
      `SET ROLE ${db.roles.admin}; SELECT FROM rls.seal_key`,
    ]) {
      await expect(db.as('app', sql)).rejects.toMatchObject({
        code: '42501',
        message: expect.stringMatching(/permission denied/),
      });
    }
    expect(await db.as('migrator', 'SELECT FROM rls.seal_key')).toHaveLength(1);
  });

  it('lets the app role, the admin role and the roles named call the functions, and nobody else', async () => {
    const other = `other_${randomUUID().slice(0, 8)}`;
    await db.asSuperuser(`CREATE ROLE ${other}`);
    try {
      const call = (role: string) =>
        db.asSuperuser(`SET ROLE ${role}; SELECT rls.current_tenant(), rls.readable_tenants()`);
      await up(installSeal(roles()));
      for (const role of Object.values(db.roles)) expect(await call(role)).toHaveLength(1);
      await expect(call(other)).rejects.toMatchObject({ code: '42501' });
      await down(installSeal(roles()));
      await up(installSeal({ ...roles(), otherRoles: [other] }));
      expect(await call(other)).toHaveLength(1);
    } finally {
      await db.as('migrator', 'DROP SCHEMA IF EXISTS rls CASCADE');
      await db.asSuperuser(`DROP ROLE ${other}`);
    }
  });

  it('refuses what is there already, and roles that are not', async () => {
    await expectRefusal(
      installSeal({ ...roles(), otherRoles: ['nobody at all'] }),
      /Role "nobody at all" does not exist/,
      /setup-roles/,
    );
    await db.as('migrator', 'CREATE SCHEMA rls');
    await expectRefusal(installSeal(roles()), /Schema "rls" exists/, /another name/);
    await db.as('migrator', 'DROP SCHEMA rls');
    await installed();
    await expectRefusal(installSeal(roles()), /Schema "rls" exists/, /upgradeSeal\(\)/);
  });
});

describe('removeSeal', () => {
  it('takes it out, and down installs it again', async () => {
    await installed();
    await expect(roundTrip(removeSeal(roles()))).resolves.toBeUndefined();
  });

  it('refuses while policies ask for the seal, and names their tables; so does the down of installSeal', async () => {
    await installed(key);
    await queryRunner.query(
      'CREATE TABLE note (tenant_id uuid NOT NULL); CREATE SCHEMA other; CREATE TABLE other.tag (tenant_id uuid NOT NULL)',
    );
    await up(
      protectTable({ table: 'note', ...settings(), sealed: true }),
      protectTable({ table: 'other.tag', ...settings(), sealed: true, readableBySet: true }),
    );
    const message = /policies ask for it on table note, other\.tag\./;
    await expectRefusal(removeSeal(roles()), message, /sealTable\(\)/);
    await expectRefusal(installSeal(roles()), message, /sealTable\(\)/, 'down');
  });

  it('refuses what is not installed', async () => {
    await expectRefusal(removeSeal(roles()), /is not installed/, /installSeal\(\)/);
  });
});

describe('sealKeys', () => {
  const stored = () =>
    db.as<{ id: string; expires_at: Date | null }>(
      'migrator',
      'SELECT id, expires_at FROM rls.seal_key ORDER BY id',
    );

  beforeEach(() => installed());

  it('gives the database the keys that its function answers when it runs, once and again', async () => {
    let answer: SealKey[] = [key];
    const operation = sealKeys({ keys: () => Promise.resolve(answer) });
    await up(operation, operation);
    expect(await stored()).toEqual([{ id: 'first', expires_at: null }]);
    const expiresAt = new Date('2099-01-01');
    answer = [{ ...key, expiresAt }, newSealKey('second')];
    await up(operation);
    expect(await stored()).toEqual([
      { id: 'first', expires_at: expiresAt },
      { id: 'second', expires_at: null },
    ]);
    await down(operation);
    expect(await stored()).toHaveLength(2);
  });

  it('keeps other keys, unless told to prune', async () => {
    const [second] = [newSealKey('second')];
    await up(sealKeys({ keys: () => [key] }), sealKeys({ keys: () => [second] }));
    expect(await stored()).toHaveLength(2);
    await up(sealKeys({ keys: () => [second], prune: true }));
    expect(await stored()).toEqual([{ id: 'second', expires_at: null }]);
  });

  it('refuses another secret under an id that is there, and says none', async () => {
    await up(sealKeys({ keys: () => [key] }));
    const other = { ...newSealKey('second') };
    const clash = sealKeys({ keys: () => [other, newSealKey('first')], prune: true });
    await expectRefusal(clash, /^Key "first" of the tenant seal has another secret/, /id of its own/);
    expect(await stored()).toEqual([{ id: 'first', expires_at: null }]);
  });

  it('refuses keys of which none is valid, none at all, and a database without the seal', async () => {
    const past = { ...key, expiresAt: new Date('2020-01-01') };
    await expectRefusal(sealKeys({ keys: () => [past] }), /"first"/, /--generate/);
    await expectRefusal(sealKeys({ keys: () => [] }), /no keys/, /at least one/);
    await down(installSeal(roles()));
    await expectRefusal(sealKeys({ keys: () => [key] }), /is not installed/, /installSeal\(\)/);
  });

  it('shows no secret to the log of TypeORM, nor in an error', async () => {
    const lines: string[] = [];
    const log = (...said: unknown[]) => void lines.push(JSON.stringify(said.slice(0, 2)));
    const logger: Logger = {
      logQuery: log,
      logQueryError: log,
      logQuerySlow: log,
      logSchemaBuild: log,
      logMigration: log,
      log,
    };
    const logging = await new DataSource({
      type: 'postgres',
      url: db.url('migrator'),
      logging: true,
      logger,
    }).initialize();
    const runner = logging.createQueryRunner();
    await sealKeys({ keys: () => [key] }).up(runner);
    const refusal: unknown = await sealKeys({ keys: () => [newSealKey('first')] })
      .up(runner)
      .catch((error: unknown) => error);
    await runner.query('SELECT $1::bytea', [Buffer.from('control')]);
    await logging.destroy();
    expect(lines.join()).toContain(JSON.stringify(Buffer.from('control')).slice(1, -1)); // control: values are logged
    expect(lines.join()).not.toContain('seal_key AS');
    expect(lines.join() + JSON.stringify(refusal)).not.toMatch(/(?:\d{1,3},){31}\d/);
  });
});

describe('upgradeSeal', () => {
  /** What an earlier version of the library could have installed. */
  const EARLIER = `
    CREATE OR REPLACE FUNCTION rls.current_tenant() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
      SET search_path = pg_catalog AS $$ SELECT NULL::text -- 'quoted' $body$ \\ $$;
    COMMENT ON FUNCTION rls.current_tenant() IS NULL;
    COMMENT ON FUNCTION rls.readable_tenants() IS 'nestjs-rls-tenants: tenant seal, version 0';
    GRANT EXECUTE ON FUNCTION rls.current_tenant() TO PUBLIC`;

  it('makes the functions those of this version, and puts the former ones back to the letter', async () => {
    await installed(key);
    const current = await snapshot();
    await db.as('migrator', EARLIER);
    const earlier = await snapshot();
    expect(earlier).not.toEqual(current);
    await expect(roundTrip(upgradeSeal())).resolves.toBeUndefined();

    await up(upgradeSeal(), upgradeSeal());
    const definitions = ({ functions }: typeof current) =>
      (functions as { definition: string }[]).map(({ definition }) => definition);
    expect(definitions(await snapshot())).toEqual(definitions(current));
    await down(upgradeSeal(), upgradeSeal());
    expect(await snapshot()).toEqual(earlier);
  });

  it('leaves keys, policies and grants alone, and sealed tables work before and after', async () => {
    await installed(key);
    await queryRunner.query('CREATE TABLE note (tenant_id uuid NOT NULL)');
    await up(protectTable({ table: 'note', ...settings(), sealed: true }));
    await db.asSuperuser(`INSERT INTO note VALUES ('${A}'), ('${B}')`);
    for (const move of [() => up(upgradeSeal()), () => down(upgradeSeal())]) {
      await move();
      expect(await sealed(A, 'SELECT tenant_id FROM note')).toEqual([{ tenant_id: A }]);
      await expect(forged(B, 'SELECT FROM note')).rejects.toMatchObject(refused);
    }
  });

  it('refuses what is not installed, and a down whose record was taken away or edited', async () => {
    await expectRefusal(upgradeSeal(), /is not installed/, /installSeal\(\)/);
    await installed();
    await expectRefusal(upgradeSeal(), /not known any more/, /comment on schema "rls"/, 'down');
    await up(upgradeSeal());
    await db.as(
      'migrator',
      `COMMENT ON SCHEMA rls IS 'nestjs-rls-tenants: former functions of the tenant seal [{'`,
    );
    for (const way of ['up', 'down'] as const) {
      await expectRefusal(upgradeSeal(), /comment of somebody else's/, /Restore/, way);
    }
  });
});

interface SealCase {
  readonly name: string;
  readonly create: string;
  readonly rows: string;
  readonly protect: (sealed: boolean) => RlsOperation[];
  readonly seal: () => RlsOperation;
  readonly table: string;
  readonly tenants: readonly [own: string | number, other: string | number];
  readonly tenantIdType?: TenantIdType;
  /** What `own` sees, and what it sees that says it is `other`. */
  readonly seen: readonly [own: number, other: number];
}

const table = (
  name: string,
  options: Partial<SealTableOptions> & Pick<SealTableOptions, 'tenantIdType'>,
): SealCase => {
  const { tenantIdType } = options;
  const [own, other] = ({ uuid: [A, B], integer: [1, 2], bigint: ['1', '2'], text: ['a', `b'"`] } as const)[
    tenantIdType
  ];
  const quoted = (value: string | number) => `'${String(value).replaceAll("'", "''")}'`;
  const column = options.tenantColumn ?? 'tenant_id';
  return {
    name,
    table: options.table ?? 'note',
    create: `CREATE TABLE IF NOT EXISTS note (id serial, "${column}" ${tenantIdType} NOT NULL)`,
    rows: `INSERT INTO note ("${column}") VALUES (${quoted(own)}), (${quoted(other)}), (${quoted(other)})`,
    protect: (sealed) => [protectTable({ table: 'note', ...roles(), ...options, sealed })],
    seal: () => sealTable({ table: 'note', ...options }),
    tenants: [own, other],
    tenantIdType,
    seen: [1, 2],
  };
};

const LINKS = `CREATE TABLE note (id int PRIMARY KEY, tenant_id uuid NOT NULL, UNIQUE (tenant_id, id));
  CREATE TABLE tag (id int PRIMARY KEY, tenant_id uuid NOT NULL, UNIQUE (tenant_id, id))`;
const LINKED = `INSERT INTO note VALUES (1, '${A}'), (2, '${B}'); INSERT INTO tag VALUES (1, '${A}'), (2, '${B}'), (3, '${B}')`;
const SIDES = [
  { table: 'note', columns: [{ column: 'note_id', referencedColumn: 'id' }] },
  { table: 'tag', columns: [{ column: 'tag_id', referencedColumn: 'id' }] },
];

const joinTable = (
  name: string,
  own: boolean,
  options: Partial<SealJoinTableOptions> & { readableBySet?: boolean },
): SealCase => ({
  name,
  table: 'note_tag',
  create: `${LINKS}; CREATE TABLE note_tag (note_id int, tag_id int ${own ? ', tenant_id uuid NOT NULL' : ''})`,
  rows: `${LINKED}; INSERT INTO note_tag VALUES ${own ? `(1, 1, '${A}'), (2, 2, '${B}'), (2, 3, '${B}')` : '(1, 1), (2, 2), (2, 3)'}`,
  protect: (sealed) => [
    ...['note', 'tag'].map((one) => protectTable({ table: one, ...settings(), sealed })),
    protectJoinTable({
      joinTable: 'note_tag',
      ...settings(),
      ...(own ? { form: 'existing-column' } : { form: 'exists', sides: SIDES }),
      ...(options as object),
      sealed,
    }),
  ],
  seal: () => {
    const operations = [
      sealTable({ table: 'note', tenantIdType: 'uuid' }),
      sealTable({ table: 'tag', tenantIdType: 'uuid' }),
      sealJoinTable({ joinTable: 'note_tag', tenantIdType: 'uuid', ...options } as SealJoinTableOptions),
    ];
    return {
      description: 'seal all three',
      up: (runner) => each(operations, (one) => one.up(runner)),
      down: (runner) => each(operations.toReversed(), (one) => one.down(runner)),
    };
  },
  tenants: [A, B],
  seen: [1, 2],
});

const SEAL_CASES: readonly SealCase[] = [
  ...(['uuid', 'integer', 'bigint', 'text'] as const).map((tenantIdType) =>
    table(`a table, tenants of type ${tenantIdType}`, { tenantIdType }),
  ),
  table('a table with another tenant column', {
    tenantIdType: 'uuid',
    tenantColumn: 'the tenant',
  }),
  table('a table that sets read', { tenantIdType: 'uuid', readableBySet: true }),
  table('a table that sets read, tenants of type text', { tenantIdType: 'text', readableBySet: true }),
  {
    ...table('a table with shared rows', { tenantIdType: 'uuid', sharedTenant: SHARED }),
    rows: `INSERT INTO note (tenant_id) VALUES ('${A}'), ('${B}'), ('${B}'), ('${SHARED}')`,
    seen: [2, 3],
  },
  {
    ...table('a table that sets read, with shared rows', {
      tenantIdType: 'uuid',
      readableBySet: true,
      sharedTenant: SHARED,
    }),
    rows: `INSERT INTO note (tenant_id) VALUES ('${A}'), ('${B}'), ('${B}'), ('${SHARED}')`,
    seen: [2, 3],
  },
  joinTable('a join table with a tenant column', true, { form: 'existing-column' }),
  joinTable('a join table with a tenant column, in the default form', true, {}),
  joinTable('a join table that sets read', true, { readableBySet: true }),
  joinTable('a join table in the EXISTS form', false, { form: 'exists', sides: SIDES }),
];

describe('sealTable and sealJoinTable', () => {
  describe.each(SEAL_CASES)(
    '$name',
    ({ create, rows, protect, seal, table: name, tenants, tenantIdType, seen }) => {
      const [own, other] = tenants;
      const count = `SELECT count(*)::int AS n FROM ${name}`;
      const forge = () => forged(String(other).replaceAll("'", "''"), count);

      beforeEach(async () => {
        await queryRunner.query(create);
        await db.asSuperuser(rows);
        await installed(key);
        await up(...protect(false));
      });

      it('goes from the plain form to what sealed: true makes, and back', async () => {
        const plain = await snapshot();
        await up(seal());
        const moved = await snapshot();
        await down(seal());
        expect(await snapshot()).toEqual(plain);

        await each(protect(false).toReversed(), (one) => one.down(queryRunner));
        await up(...protect(true));
        expect((await snapshot()).policies).toEqual(moved.policies);
        await expect(roundTrip(removedAndBack(protect(true)))).resolves.toBeUndefined();
      });

      it('refuses a forged tenant, which the plain form admits', async () => {
        expect(await forge()).toEqual([{ n: seen[1] }]);
        expect(await sealed(own, count, tenantIdType)).toEqual([{ n: seen[0] }]);
        await up(seal());
        await expect(forge()).rejects.toMatchObject(refused);
        expect(await sealed(own, count, tenantIdType)).toEqual([{ n: seen[0] }]);
        expect(await sealed(other, count, tenantIdType)).toEqual([{ n: seen[1] }]);
        await down(seal());
        expect(await forge()).toEqual([{ n: seen[1] }]);
      });

      it('is no matter for who is nobody, and for the admin role', async () => {
        await up(seal());
        expect(await db.as('app', `SELECT ${name} FROM ${name}`)).toEqual([]);
        const all = await db.asSuperuser(`SELECT FROM ${name}`);
        expect(await db.as('app', `SET ROLE ${db.roles.admin}; SELECT FROM ${name}`)).toHaveLength(
          all.length,
        );
      });
    },
  );

  const removedAndBack = (operations: RlsOperation[]): RlsOperation => ({
    description: 'unprotect',
    up: () => each(operations.toReversed(), (one) => one.down(queryRunner)),
    down: () => each(operations, (one) => one.up(queryRunner)),
  });

  describe('refuse, and change nothing', () => {
    const NOTE = { table: 'note', tenantIdType: 'uuid' } as const;

    beforeEach(async () => {
      await queryRunner.query('CREATE TABLE note (id serial, tenant_id uuid NOT NULL)');
      await db.asSuperuser(`INSERT INTO note (tenant_id) VALUES ('${A}'), ('${B}')`);
    });
    const plain = () => up(protectTable({ ...NOTE, ...roles() }));

    it('where the seal is not installed', async () => {
      await plain();
      await expectRefusal(sealTable(NOTE), /cannot seal table "note".*not installed/, /installSeal\(\)/);
      const links = { joinTable: 'links', tenantIdType: 'uuid' } as const;
      await expectRefusal(sealJoinTable(links), /cannot seal join table "links"/, /installSeal\(\)/);
    });

    it('where the database has no key, or only one that has expired', async () => {
      await plain();
      await installed();
      await expectRefusal(sealTable(NOTE), /no key of the tenant seal that is valid/, /seal-keys/);
      await up(sealKeys({ keys: () => [key] }));
      await db.as('migrator', `UPDATE rls.seal_key SET expires_at = now() - interval '1 s'`);
      await expectRefusal(sealTable(NOTE), /no key of the tenant seal that is valid/, /seal-keys/);
    });

    it('where the role that migrates cannot see the keys', async () => {
      await plain();
      await installed(key);
      await db.asSuperuser('ALTER TABLE rls.seal_key OWNER TO CURRENT_USER');
      await expectRefusal(sealTable(NOTE), /may not see/, /owns table "rls"\."seal_key"/);
    });

    it('where the table is not protected, or has other policies than stated', async () => {
      await installed(key);
      await expectRefusal(
        sealTable(NOTE),
        /"note" has no policy "note_tenant_isolation_policy" for ALL/,
        /Protect it/,
      );
      await plain();
      await expectRefusal(
        sealTable({ ...NOTE, readableBySet: true }),
        /no policy "note_tenant_isolation_policy" for SELECT/,
        /readableBySet/,
      );
      await expectRefusal(
        sealTable({ ...NOTE, tenantSetting: 'acme.tenant' }),
        /not installed/,
        /installSeal/,
      );
    });

    it.each([
      [
        'in another shape',
        `CASE WHEN true THEN tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid END`,
      ],
      [
        'that admits more',
        `tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid OR id = 0`,
      ],
      ['that reads another setting', `tenant_id = NULLIF(current_setting('acme.tenant', true), '')::uuid`],
    ])('a policy %s', async (_what, predicate) => {
      await installed(key);
      await plain();
      await db.as('migrator', `ALTER POLICY note_tenant_isolation_policy ON note USING (${predicate})`);
      await expectRefusal(
        sealTable(NOTE),
        /Policy "note_tenant_isolation_policy" of table "note" is \{"using":.*its plain form would be/,
        /alterTenantPolicy\(\)/,
      );
    });

    it('a policy that is sealed already, and in down one that is plain', async () => {
      await installed(key);
      await plain();
      await expectRefusal(sealTable(NOTE), /its sealed form would be/, /other form already/, 'down');
      await up(sealTable(NOTE));
      await expectRefusal(sealTable(NOTE), /its plain form would be/, /other form already/);
    });

    it('waits for a lock no longer than two seconds', async () => {
      await installed(key);
      await plain();
      const reader = await new DataSource({ type: 'postgres', url: db.url('app') }).initialize();
      const holding = reader.createQueryRunner();
      await holding.startTransaction();
      await holding.query('SELECT FROM note');
      const failed = sealTable(NOTE).up(queryRunner);
      await expect(failed).rejects.toMatchObject({ code: '55P03' });
      await holding.rollbackTransaction();
      await reader.destroy();
      await up(sealTable(NOTE));
    });
  });
});

describe('operations that take sealed', () => {
  beforeEach(() =>
    queryRunner.query(
      `CREATE TABLE note (id int, tenant_id uuid NOT NULL);
       CREATE TABLE event (tenant_id uuid NOT NULL, day int) PARTITION BY RANGE (day)`,
    ),
  );
  const partition = () =>
    protectedPartition({
      parent: 'event',
      name: 'event_1',
      bound: { from: [1], to: [9] },
      ...settings(),
      sealed: true,
    });

  it('refuse where the seal is not installed', async () => {
    const note = { table: 'note', ...settings(), sealed: true };
    for (const operation of [
      protectTable(note),
      protectExistingTable(note).protect[0]!,
      protectJoinTable({ ...note, joinTable: 'note', form: 'existing-column' }),
      partition(),
    ]) {
      await expectRefusal(operation, /is not installed/, /installSeal\(\)/);
    }
    const changed = {
      table: 'note',
      tenantIdType: 'uuid',
      from: 'rls.current_tenant',
      to: 'acme.tenant',
    } as const;
    await up(protectTable({ table: 'note', ...settings() }));
    await expectRefusal(
      alterTenantPolicy({ ...changed, sealed: true }),
      /is not installed/,
      /installSeal\(\)/,
    );
  });

  it('protectedPartition gives a partition sealed policies of its own', async () => {
    await installed(key);
    await up(protectTable({ table: 'event', ...settings(), sealed: true }));
    await expect(roundTrip(partition())).resolves.toBeUndefined();
    await up(partition());
    await db.asSuperuser(
      `INSERT INTO event VALUES ('${A}', 1), ('${B}', 2); GRANT SELECT ON event_1 TO ${db.roles.app}`,
    );
    for (const name of ['event', 'event_1']) {
      await expect(forged(B, `SELECT FROM ${name}`)).rejects.toMatchObject(refused);
      expect(await sealed(A, `SELECT day FROM ${name}`)).toEqual([{ day: 1 }]);
    }
  });

  it('alterTenantPolicy seals a policy of another shape at once, and does not unseal one', async () => {
    await installed(key);
    await up(protectTable({ table: 'note', ...settings() }));
    await db.asSuperuser(`INSERT INTO note VALUES (1, '${A}'), (2, '${B}')`);
    const using = `CASE WHEN true THEN tenant_id = NULLIF(current_setting('rls.current_tenant', true), '')::uuid END`;
    await db.as(
      'migrator',
      `ALTER POLICY note_tenant_isolation_policy ON note USING (${using}) WITH CHECK (${using})`,
    );
    const columnDefault = `NULLIF(current_setting('rls.current_tenant', true), '')::uuid`;
    const change = alterTenantPolicy({
      table: 'note',
      tenantIdType: 'uuid',
      from: { using, columnDefault },
      to: 'rls.current_tenant',
      sealed: true,
    });
    await expect(roundTrip(change)).resolves.toBeUndefined();
    await up(change);
    await expect(forged(B, 'SELECT FROM note')).rejects.toMatchObject(refused);
    expect(await sealed(A, 'SELECT id FROM note')).toEqual([{ id: 1 }]);
    await expectRefusal(
      alterTenantPolicy({
        table: 'note',
        tenantIdType: 'uuid',
        from: 'rls.current_tenant',
        to: 'acme.tenant',
      }),
      /asks for the tenant seal, which it would lose/,
      /sealed: true/,
    );
  });

  it('unprotectTable takes sealed policies away, and down brings them back', async () => {
    await installed(key);
    const note = { table: 'note', ...settings(), sealed: true };
    await up(protectTable(note));
    await expect(roundTrip(unprotectTable(note))).resolves.toBeUndefined();
  });
});
