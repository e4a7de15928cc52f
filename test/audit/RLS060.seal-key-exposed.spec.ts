import { createHash } from 'node:crypto';
import { sealMessage, sealText } from '../../libs/rls-tenants/src/policies/index.js';
import { B } from './audit-support.js';
import { createSealedNoteDatabase, type SealedNoteDatabase } from './sealed-support.js';

describe('RLS060 seal-key-exposed', () => {
  let db: SealedNoteDatabase;
  let other: string;

  beforeAll(async () => {
    db = await createSealedNoteDatabase();
    other = `other_${db.roles.app}`;
    await db.asSuperuser(`CREATE ROLE ${other}`);
  });
  afterAll(async () => {
    await db.asSuperuser(`DROP OWNED BY ${other}; DROP ROLE ${other}`);
    await db.drop();
  });

  /** With the pads of a key anybody makes seals: for tenant B, as the app role, from nothing but the table. */
  const forge = async (role?: string) => {
    const become = role === undefined ? '' : `SET ROLE ${role};`;
    const [pads] = await db.as<{ id: string; inner_pad: Buffer; outer_pad: Buffer }>(
      'app',
      `${become} SELECT id, inner_pad, outer_pad FROM rls.seal_key`,
    );
    const expires = Math.floor(Date.now() / 1000) + 60;
    const fields = { keyId: pads!.id, expires, backend: 0 };
    const message = sealMessage('rls.current_tenant', fields, B, '');
    const inner = createHash('sha256').update(pads!.inner_pad).update(message).digest();
    const mac = createHash('sha256').update(pads!.outer_pad).update(inner).digest('hex');
    return db.as<{ body: string }>(
      'app',
      `SET rls.current_tenant = '${B}'; SET rls.seal = '${sealText({ ...fields, mac })}'; SELECT body FROM note`,
    );
  };
  const expectFixed = async (role?: string) => {
    expect(await forge(role)).toEqual([{ body: 'b' }]);
    const { findings } = await db.audit();
    expect(findings).toMatchObject([
      { ruleId: 'RLS060', severity: 'critical', object: 'table "rls.seal_key"' },
    ]);
    await db.asSuperuser(findings[0]!.fix);
    await expect(forge(role)).rejects.toThrow('permission denied');
    expect(await db.findings()).toEqual([]);
    return findings[0]!.message;
  };

  it('the key table as the library makes it is sound', async () => {
    await expect(forge()).rejects.toThrow('permission denied for table seal_key');
    expect(await db.findings()).toEqual([]);
  });

  it('keys that the app role may read are found', async () => {
    await db.as('migrator', `GRANT SELECT ON rls.seal_key TO ${db.roles.app}`);
    expect(await expectFixed()).toContain(`SELECT is granted to role "${db.roles.app}"`);
  });

  it('keys that everybody may read are found', async () => {
    await db.as('migrator', 'GRANT SELECT ON rls.seal_key TO PUBLIC');
    expect(await expectFixed()).toContain('granted to PUBLIC');
  });

  it('a privilege on columns is found', async () => {
    await db.as('migrator', `GRANT SELECT (id, inner_pad, outer_pad) ON rls.seal_key TO ${db.roles.app}`);
    expect(await expectFixed()).toContain('SELECT (inner_pad)');
  });

  it('a role that the app role may become is found', async () => {
    await db.asSuperuser(`GRANT ${other} TO ${db.roles.app}; GRANT USAGE ON SCHEMA rls TO ${other}`);
    await db.as('migrator', `GRANT SELECT ON rls.seal_key TO ${other}`);
    expect(await expectFixed(other)).toContain(`role "${other}", which the app role may become`);
    await db.asSuperuser(`REVOKE ${other} FROM ${db.roles.app}`);
  });

  it('a member of pg_read_all_data is found', async () => {
    await db.asSuperuser(`GRANT pg_read_all_data TO ${db.roles.app}`);
    expect(await expectFixed('pg_read_all_data')).toContain('pg_read_all_data');
  });

  it('a key that the app role may write is found: it needs to read none', async () => {
    await db.as('migrator', `GRANT INSERT ON rls.seal_key TO ${db.roles.app}`);
    await db.as(
      'app',
      `INSERT INTO rls.seal_key VALUES ('mine', repeat('a', 64)::bytea, repeat('b', 64)::bytea)`,
    );
    const { findings } = await db.audit();
    expect(findings).toMatchObject([{ ruleId: 'RLS060', message: expect.stringContaining('INSERT') }]);
    await db.asSuperuser(findings[0]!.fix);
    await expect(
      db.as(
        'app',
        `INSERT INTO rls.seal_key VALUES ('again', repeat('a', 64)::bytea, repeat('b', 64)::bytea)`,
      ),
    ).rejects.toThrow('permission denied');
    await db.as('migrator', `DELETE FROM rls.seal_key WHERE id = 'mine'`);
  });

  it('default privileges of the owner are named as the cause, and end with the fix', async () => {
    await db.as('migrator', `ALTER DEFAULT PRIVILEGES IN SCHEMA rls GRANT SELECT ON TABLES TO ${other}`);
    await db.asSuperuser(`GRANT ${other} TO ${db.roles.app}; GRANT USAGE ON SCHEMA rls TO ${other}`);
    await db.as('migrator', `GRANT SELECT ON rls.seal_key TO ${other}`);
    expect(await expectFixed(other)).toContain(`Default privileges of "${db.roles.migrator}" grant it`);
    expect(await db.asSuperuser(`SELECT FROM pg_default_acl WHERE defaclobjtype = 'r'`)).toEqual([]);
    await db.asSuperuser(`REVOKE ${other} FROM ${db.roles.app}`);
  });
});
