import type { DataSource } from 'typeorm';
import { adminContext, tenantContext } from '../../libs/rls-tenants/src/index.js';
import { A, B, Note, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

/** The pool that a connection belongs to is its application_name. */
describe('read replicas by TypeORM’s replication', () => {
  let db: ProtectedDatabase;
  let dataSource: DataSource;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'a'), ('${B}', 'b')`);
    const of = (pool: string) => ({ url: `${db.url('app')}?application_name=${pool}` });
    dataSource = await db.isolated(
      { onMissingTenant: 'empty' },
      { replication: { master: of('master'), slaves: [of('slave')] } },
    );
  });
  afterAll(() => db.drop());

  const READ = `SELECT current_setting('application_name') AS pool, array_agg(body ORDER BY body) AS bodies FROM note`;

  async function read(mode: 'master' | 'slave'): Promise<{ pool: string; bodies: string[] | null }> {
    const queryRunner = dataSource.createQueryRunner(mode);
    try {
      const rows = (await queryRunner.query(READ)) as { pool: string; bodies: string[] | null }[];
      return rows[0]!;
    } finally {
      await queryRunner.release();
    }
  }

  it.each(['master', 'slave'] as const)(
    'the pool of the %s carries the tenant, and the admin',
    async (pool) => {
      expect(await tenantContext(A, () => read(pool))).toEqual({ pool, bodies: ['a'] });
      expect(await tenantContext(B, () => read(pool))).toEqual({ pool, bodies: ['b'] });
      expect(await adminContext('control', () => read(pool))).toEqual({ pool, bodies: ['a', 'b'] });
      expect(await read(pool)).toEqual({ pool, bodies: null });
    },
  );

  it('a find goes to the slave, and sees its tenant’s rows', async () => {
    const pools = await tenantContext(A, () =>
      dataSource
        .createQueryBuilder(Note, 'note')
        .select(`current_setting('application_name')`, 'pool')
        .getRawMany<{ pool: string }>(),
    );
    expect(pools).toEqual([{ pool: 'slave' }]);
    expect(await tenantContext(A, () => dataSource.getRepository(Note).find())).toMatchObject([
      { body: 'a' },
    ]);
  });

  it('both at once keep their tenants apart', async () => {
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        tenantContext(n % 2 ? A : B, () => read(n % 3 ? 'slave' : 'master')),
      ),
    );
    expect(results.map(({ bodies }) => bodies)).toEqual(
      Array.from({ length: 40 }, (_, n) => [n % 2 ? 'a' : 'b']),
    );
  });
});
