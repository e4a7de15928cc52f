import { execFileSync, spawnSync } from 'node:child_process';
import { SERVER_VERSION } from '../support/database.js';
import { A, B, NOTES } from '../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../support/protected-database.js';

/** Where `pg_dump` is missing, or older than the server and refuses to dump at all, the rest is left out. */
const version = Number(
  /\d+/.exec(spawnSync('pg_dump', ['--version'], { encoding: 'utf8' }).stdout ?? '')?.[0],
);
const describePgDump = version >= Math.floor(SERVER_VERSION / 10_000) ? describe : describe.skip;

describe('backups of protected tables', () => {
  let db: ProtectedDatabase;
  let backup: string;

  beforeAll(async () => {
    db = await createProtectedDatabase(NOTES);
    await db.asSuperuser(`INSERT INTO note (tenant_id, body) VALUES ('${A}', 'of a'), ('${B}', 'of b')`);
    backup = `backup_${db.name}`;
    await db.asSuperuser(
      `CREATE ROLE ${backup} LOGIN BYPASSRLS PASSWORD 'test'; GRANT pg_read_all_data TO ${backup};
       -- As setup-roles does.
       GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO ${db.roles.app}`,
    );
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${backup}`);
    await db.asSuperuser(`DROP ROLE ${backup}`);
    await db.drop();
  });

  it.each(['app', 'migrator'] as const)(
    'row_security = off is an error for the %s role, not a way around',
    async (role) => {
      await expect(db.as(role, `SET row_security = off; SELECT * FROM note`)).rejects.toMatchObject({
        code: '42501',
        message: expect.stringMatching(/affected by row-level security policy/) as string,
      });
    },
  );

  it('COPY FROM is refused to a role that policies apply to', async () => {
    await expect(db.as('migrator', `COPY note (tenant_id, body) FROM STDIN`)).rejects.toThrow(
      'COPY FROM not supported with row-level security',
    );
  });

  describePgDump('pg_dump', () => {
    const urlOf = (role: string) => {
      const url = new URL(db.url());
      url.username = role;
      url.password = 'test';
      return url.href;
    };
    const dump = (url: string, ...options: string[]) =>
      spawnSync('pg_dump', ['--table', 'note', ...options, url], { encoding: 'utf8' });

    it.each(['app', 'migrator'] as const)('fails as the %s role', (role) => {
      const { status, stderr, stdout } = dump(db.url(role));
      expect(status).toBe(1);
      expect(stderr).toContain('affected by row-level security policy');
      expect(stdout).not.toContain('of a');
    });

    it('is complete as a login with BYPASSRLS', () => {
      const { status, stdout } = dump(urlOf(backup));
      expect(status).toBe(0);
      expect(stdout).toContain('of a');
      expect(stdout).toContain('of b');
    });

    it('--enable-row-security without a tenant is an empty dump without an error', () => {
      const { status, stdout } = dump(db.url('app'), '--enable-row-security', '--data-only', '--inserts');
      expect([status, stdout.match(/INSERT/g)]).toEqual([0, null]);
    });

    it('--enable-row-security with a tenant is that tenant’s export', () => {
      const text = execFileSync(
        'pg_dump',
        ['--table', 'note', '--enable-row-security', '--data-only', '--inserts', db.url('app')],
        { encoding: 'utf8', env: { ...process.env, PGOPTIONS: `-c rls.current_tenant=${A}` } },
      );
      expect(text).toContain('of a');
      expect(text).not.toContain('of b');
    });

    it('in a dump, row-level security is enabled and policies are made after the data', () => {
      const { stdout } = dump(urlOf(backup));
      const at = (text: string) => stdout.indexOf(text);
      expect(at('COPY public.note')).toBeGreaterThan(0);
      expect(at('ENABLE ROW LEVEL SECURITY')).toBeGreaterThan(at('COPY public.note'));
      expect(at('CREATE POLICY')).toBeGreaterThan(at('COPY public.note'));
    });
  });
});
