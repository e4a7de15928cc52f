import { RlsConfigurationError } from '../errors.js';
import { grantSql, revokeSql, TABLE_PRIVILEGES, type TablePrivilege } from './grants.js';

describe('grants', () => {
  it('grant and revoke the same', () => {
    const grant = { role: 'app', table: 'billing.note', privileges: TABLE_PRIVILEGES };
    expect(grantSql(grant)).toBe('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "billing"."note" TO "app"');
    expect(revokeSql(grant)).toBe(
      'REVOKE SELECT, INSERT, UPDATE, DELETE ON TABLE "billing"."note" FROM "app"',
    );
  });

  it('take a sequence whose name has a dot', () => {
    expect(
      grantSql({ role: 'app', sequence: { schema: 'public', name: 'a.b_seq' }, privileges: ['USAGE'] }),
    ).toBe('GRANT USAGE ON SEQUENCE "public"."a.b_seq" TO "app"');
  });

  it.each(['TRUNCATE', 'TRIGGER', 'REFERENCES', 'ALL', 'select'])('refuse %s', (privilege) => {
    expect(() => grantSql({ role: 'app', table: 'note', privileges: [privilege as TablePrivilege] })).toThrow(
      RlsConfigurationError,
    );
  });

  it('refuse PUBLIC, and no privileges', () => {
    expect(() => grantSql({ role: 'public', table: 'note', privileges: ['SELECT'] })).toThrow(
      RlsConfigurationError,
    );
    expect(() => grantSql({ role: 'app', table: 'note', privileges: [] })).toThrow(RlsConfigurationError);
  });
});
