import { createHash, createHmac } from 'node:crypto';
import { RlsConfigurationError } from '../errors.js';
import { carrySealedSql } from './carry.js';
import {
  installSealSql,
  sealedReadableTenantsSql,
  sealedTenantSql,
  sealFunctionsSql,
  sealKeyPads,
  sealMessage,
  sealObjectsOf,
  sealSettingOf,
  sealText,
  uninstallSealSql,
  upsertSealKeySql,
} from './seal.js';

describe('the names of what sealing adds', () => {
  it('are those of the tenant setting', () => {
    expect(sealObjectsOf()).toEqual({
      schema: '"rls"',
      keyTable: '"rls"."seal_key"',
      currentTenant: '"rls"."current_tenant"()',
      readableTenants: '"rls"."readable_tenants"()',
    });
    expect(sealSettingOf('rls.current_tenant')).toBe('rls.seal');
    expect(sealObjectsOf('My_App.Tenant$')).toMatchObject({
      schema: '"My_App"',
      currentTenant: '"My_App"."Tenant$"()',
    });
    expect(sealSettingOf('My_App.Tenant$')).toBe('My_App.seal');
  });

  it.each([
    'app.rls.tenant',
    'rls.seal',
    'rls.readable_tenants',
    'rls.seal_key',
    'rls.SEAL',
    'rls.Readable_Tenants',
  ])('are refused for the setting %s, whose seal would have none of its own', (tenantSetting) => {
    for (const sql of [
      () => sealObjectsOf(tenantSetting),
      () => sealedTenantSql('uuid', tenantSetting),
      () => installSealSql({ tenantSetting, appRole: 'app' }),
      () => uninstallSealSql(tenantSetting),
      () => upsertSealKeySql(tenantSetting),
    ])
      expect(sql).toThrow(
        expect.objectContaining({ message: `The tenant setting ${tenantSetting} cannot be sealed.` }),
      );
  });

  it.each(['tenant', '', 'rls.', "rls.x'; DROP TABLE note; --", 'rls.a b'])(
    'are refused for %j, which is no setting',
    (tenantSetting) => {
      expect(() => sealObjectsOf(tenantSetting)).toThrow(RlsConfigurationError);
    },
  );
});

describe('what a sealed policy reads', () => {
  it('is a sub-select of the verified tenant, with the type of the tenant column', () => {
    expect(sealedTenantSql('uuid')).toBe('(SELECT "rls"."current_tenant"()::uuid)');
    expect(sealedTenantSql('integer')).toBe('(SELECT "rls"."current_tenant"()::integer)');
    expect(sealedTenantSql('bigint')).toBe('(SELECT "rls"."current_tenant"()::bigint)');
    expect(sealedTenantSql('text', 'app.tenant')).toBe('(SELECT "app"."tenant"())');
    expect(() => sealedTenantSql('uuid; DROP TABLE note' as 'uuid')).toThrow(RlsConfigurationError);
  });

  it('is an array where a tenant reads more than its own rows', () => {
    const setting = 'rls.current_tenant';
    expect(sealedReadableTenantsSql('uuid', setting, { bySet: true, sharedTenant: undefined })).toBe(
      `(SELECT (string_to_array("rls"."readable_tenants"(), ','))::uuid[])::uuid[]`,
    );
    expect(sealedReadableTenantsSql('integer', setting, { bySet: false, sharedTenant: '0' })).toBe(
      `(SELECT (string_to_array("rls"."current_tenant"() || ',' || '0', ','))::integer[])::integer[]`,
    );
    expect(sealedReadableTenantsSql('text', setting, { bySet: true, sharedTenant: "it's" })).toBe(
      `(SELECT string_to_array("rls"."readable_tenants"() || chr(10) || 'it''s', chr(10)))::text[]`,
    );
  });
});

describe('a seal', () => {
  const fields = { keyId: 'k1', expires: 1_800_000_000, backend: 42 };

  it('is text of five fields', () => {
    expect(sealText({ ...fields, mac: 'ff' })).toBe('1.k1.1800000000.42.ff');
  });

  it('signs setting, header, length and tenants', () => {
    expect(sealMessage('rls.current_tenant', fields, 'é', '\nb')).toBe(
      'rls.current_tenant\n1.k1.1800000000.42\n2\né\nb',
    );
  });

  it('signs different text for different meanings', () => {
    const messages = [
      sealMessage('a.b', fields, 'ab', ''),
      sealMessage('a.b', fields, 'a', 'b'),
      sealMessage('a.b', fields, '', 'ab'),
      sealMessage('a.b', { ...fields, keyId: 'k11' }, 'ab', ''),
      sealMessage('a.b', { ...fields, backend: 421 }, 'ab', ''),
      sealMessage('a.bc', fields, 'ab', ''),
    ];
    expect(new Set(messages).size).toBe(messages.length);
  });

  it.each([32, 48, 64])('of a key of %i bytes is what the pads make of it: HMAC', (bytes) => {
    const secret = createHash('sha512').update(String(bytes)).digest().subarray(0, bytes);
    const { inner, outer } = sealKeyPads(secret);
    const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
    expect(sha256(outer, sha256(inner, Buffer.from('message')))).toEqual(
      createHmac('sha256', secret).update('message').digest(),
    );
    expect([inner.length, outer.length]).toEqual([64, 64]);
  });

  it.each([0, 31, 65])('needs no key of %i bytes', (bytes) => {
    expect(() => sealKeyPads(Buffer.alloc(bytes, 1))).toThrow(RlsConfigurationError);
  });
});

describe('the query that carries a seal', () => {
  it('has tenant and seal as parameters, and names everything by its schema', () => {
    expect(carrySealedSql('rls.current_tenant', undefined)).toBe(
      `SELECT pg_catalog.set_config('rls.current_tenant', $1, true), pg_catalog.set_config('rls.seal', $2, true)`,
    );
    expect(carrySealedSql('rls.current_tenant', '')).toMatch(
      /, pg_catalog\.set_config\('rls\.readable_tenants', '', true\)$/,
    );
  });
});

describe('the installation', () => {
  const installation = { appRole: 'My "app"', otherRoles: ['jobs', 'My "app"'] };

  it('lets the app role, the admin role and the others call the functions, and nobody read the keys', () => {
    const grants = installSealSql(installation).filter((sql) => sql.startsWith('GRANT'));
    expect(grants).toEqual([
      'GRANT EXECUTE ON FUNCTION "rls"."current_tenant"() TO "My ""app""", "rls_admin", "jobs"',
      'GRANT EXECUTE ON FUNCTION "rls"."readable_tenants"() TO "My ""app""", "rls_admin", "jobs"',
      'GRANT USAGE ON SCHEMA "rls" TO "My ""app""", "rls_admin", "jobs"',
    ]);
  });

  it('takes the functions from PUBLIC before it gives them to anybody', () => {
    for (const name of ['current_tenant', 'readable_tenants']) {
      const about = sealFunctionsSql(installation).filter((sql) =>
        sql.includes(`FUNCTION "rls"."${name}"()`),
      );
      const revoked = about.findIndex((sql) => /^REVOKE ALL ON FUNCTION .* FROM PUBLIC$/.test(sql));
      const granted = about.findIndex((sql) => sql.startsWith('GRANT'));
      expect(revoked).toBeGreaterThanOrEqual(0);
      expect(granted).toBeGreaterThan(revoked);
    }
  });

  it('makes functions that run as their owner, with a search path of their own', () => {
    const functions = sealFunctionsSql(installation).filter((sql) =>
      sql.startsWith('CREATE OR REPLACE FUNCTION'),
    );
    expect(functions).toHaveLength(2);
    for (const sql of functions)
      expect(sql).toMatch(
        /^CREATE OR REPLACE FUNCTION "rls"\."\w+"\(\) RETURNS text LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS /,
      );
  });

  it.each(['public', 'none'])('refuses the role %s', (appRole) => {
    expect(() => installSealSql({ appRole })).toThrow(RlsConfigurationError);
  });

  it('is undone in the opposite order, without CASCADE', () => {
    expect(uninstallSealSql()).toEqual([
      'DROP FUNCTION "rls"."readable_tenants"()',
      'DROP FUNCTION "rls"."current_tenant"()',
      'DROP TABLE "rls"."seal_key"',
      'DROP SCHEMA "rls"',
    ]);
  });
});
