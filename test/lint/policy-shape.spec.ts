import {
  createPolicySql,
  existsJoinTablePredicate,
  sealedTenantSql,
  tenantPolicies,
  tenantTablePredicate,
  type TenantTable,
} from '../../libs/rls-tenants/src/policies/index.js';
import { tenant } from '../support/notes.js';
import { lintText, migration, places } from './lint-support.js';

type Options = NonNullable<Parameters<typeof lintText>[1]>;

const NOTE: Options = { tenantTables: ['note'] };

async function findings(rule: string, sql: readonly string[], options: Options = NOTE): Promise<string[]> {
  const up = sql.map((one) => `await queryRunner.query(${JSON.stringify(one)});`).join('\n');
  const report = await lintText(migration(up), options);
  return report.findings
    .filter(({ ruleId }) => ruleId === rule)
    .map(({ message, fix }) => `${message}\n${fix}`);
}
const policy = (predicate: string, clauses = '') =>
  `CREATE POLICY p ON note ${clauses} USING (${predicate}) WITH CHECK (${predicate})`;
const shape = (sql: string, options?: Options) => findings('MIG052', [sql], options);

const table = (more: Partial<TenantTable> = {}): TenantTable => ({
  table: 'note',
  tenantIdType: 'uuid',
  ...more,
});
const sealed = (more: Partial<TenantTable> = {}) => tenantTablePredicate(table({ sealed: true, ...more }));
const VERIFIED = sealedTenantSql('uuid');

describe('MIG052 takes what the library writes', () => {
  it.each(['uuid', 'integer', 'bigint', 'text'] as const)(
    'sealed, tenants of type %s',
    async (tenantIdType) => {
      const predicate = sealed({ tenantIdType });
      expect(await shape(policy(predicate))).toEqual([]);
      expect(await shape(`ALTER POLICY p ON note USING (${predicate}) WITH CHECK (${predicate})`)).toEqual(
        [],
      );
      // As people write it, and as PostgreSQL would find it.
      expect(await shape(policy(predicate.replaceAll('"', '').replaceAll('pg_catalog.', '')))).toEqual([]);
    },
  );

  it('by the functions of another tenant setting, if it is named', async () => {
    const predicate = sealed({ tenantSetting: 'acme.tenant' });
    expect(await shape(policy(predicate), { ...NOTE, tenantSetting: 'acme.tenant' })).toEqual([]);
    expect(await shape(policy(predicate))).toHaveLength(1);
    expect(await shape(policy(sealed()), { ...NOTE, tenantSetting: 'acme.tenant' })).toHaveLength(1);
  });

  it.each<[string, Partial<TenantTable>]>([
    ['that sets read', { readableBySet: true }],
    ['of shared rows', { sharedTenant: tenant(9) }],
    ['of both', { readableBySet: true, sharedTenant: tenant(9) }],
    [
      'of both, with tenants that are numbers',
      { tenantIdType: 'integer', readableBySet: true, sharedTenant: 7 },
    ],
    [
      'of both, with tenants that are text',
      { tenantIdType: 'text', readableBySet: true, sharedTenant: `it's` },
    ],
  ])('the policies of a table %s, plain and sealed, created and altered', async (_what, more) => {
    for (const isSealed of [false, true]) {
      const policies = tenantPolicies(table({ ...more, sealed: isSealed }));
      expect(policies).toHaveLength(4);
      const created = policies.map(({ name, predicate, command }) =>
        createPolicySql('note', name, predicate, undefined, command),
      );
      expect(await findings('MIG052', created)).toEqual([]);
      const [{ name, predicate }] = policies;
      expect(await shape(`ALTER POLICY ${name} ON note USING (${predicate})`)).toEqual([]);
    }
  });
});

describe('MIG052 finds what only looks like it', () => {
  const [{ predicate: list }] = tenantPolicies(table({ readableBySet: true, sealed: true }));
  const [{ predicate: plainList }] = tenantPolicies(table({ readableBySet: true }));

  it.each<[string, string, RegExp]>([
    ['an OR beside it', `${sealed()} OR tenant_id IS NULL`, /an OR/],
    ['an OR beside the list', `${list} OR true`, /an OR/],
    ['no sub-select', `tenant_id = rls.current_tenant()::uuid`, /without a sub-select/],
    ['no sub-select around the list', list.replaceAll('(SELECT ', '('), /without a sub-select/],
    [
      'a function of another schema',
      sealed().replaceAll('"rls"', '"public"'),
      /public\.current_tenant\(\)|sealed form|setting/,
    ],
    [
      'a function without its schema',
      `tenant_id = (SELECT current_tenant()::uuid)`,
      /it asks current_tenant\(\)/,
    ],
    [
      'another function of the schema',
      sealed().replaceAll('"current_tenant"', '"any_tenant"'),
      /any_tenant|setting|sub-select/,
    ],
    ['an AND beside it', `${sealed()} AND tenant_id IS NOT NULL`, /sealed form/],
    ['a comparison that is none', `tenant_id <> ${VERIFIED}`, /sealed form/],
    [
      'a sub-select of something',
      `tenant_id = (SELECT rls.current_tenant()::uuid FROM other)`,
      /sealed form/,
    ],
    [
      'a union',
      `tenant_id = (SELECT rls.current_tenant()::uuid UNION SELECT id FROM other LIMIT 1)`,
      /sealed form/,
    ],
    ['a default', `tenant_id = COALESCE(${VERIFIED}, tenant_id)`, /sealed form/],
    ['the row itself', `${VERIFIED} = ${VERIFIED}`, /sealed form/],
    ['a CASE', `CASE WHEN true THEN ${sealed()} END`, /a CASE/],
    ['another column', sealed({ tenantColumn: 'owner_id' }), /it compares "owner_id"/],
  ])('%s', async (_what, predicate, message) => {
    const [found, ...others] = await shape(policy(predicate));
    expect(others).toEqual([]);
    expect(found).toMatch(message);
  });

  it('the list for anything but SELECT, where a tenant would write what it only reads', async () => {
    for (const predicate of [list, plainList]) {
      for (const sql of [
        policy(predicate),
        `CREATE POLICY p ON note FOR UPDATE USING (${predicate})`,
        `CREATE POLICY p ON note FOR INSERT WITH CHECK (${predicate})`,
        `ALTER POLICY p ON note USING (${predicate}) WITH CHECK (${predicate})`,
        `ALTER POLICY p ON note USING (${predicate}) WITH CHECK (${sealed()})`,
      ]) {
        const [found] = await shape(sql);
        expect(found).toMatch(/several tenants, and not for SELECT alone/);
      }
    }
  });

  it('and corrects it in its own form', async () => {
    const [unsealed] = await shape(policy(`tenant_id = current_setting('rls.current_tenant')::uuid`));
    expect(unsealed).toContain(tenantTablePredicate(table()));
    expect(unsealed).not.toContain('"rls"');
    const [badly] = await shape(policy(`tenant_id = rls.current_tenant()::uuid`));
    expect(badly).toContain(sealed());
  });
});

describe('sealed tables are protected tables', () => {
  const CREATE = 'CREATE TABLE note (id int, tenant_id uuid NOT NULL)';
  const PROTECT = [
    'ALTER TABLE note ENABLE ROW LEVEL SECURITY',
    'ALTER TABLE note FORCE ROW LEVEL SECURITY',
    policy(sealed()),
  ];

  it('for MIG050 and MIG054', async () => {
    expect(await findings('MIG050', [CREATE])).toHaveLength(1);
    expect(await findings('MIG050', [CREATE, ...PROTECT])).toEqual([]);
    const partition = 'CREATE TABLE note_1 PARTITION OF note FOR VALUES IN (1)';
    expect(await findings('MIG054', [partition])).toHaveLength(1);
    const protectPartition = PROTECT.map((sql) => sql.replace(/note\b/, 'note_1'));
    expect(await findings('MIG054', [partition, ...protectPartition])).toEqual([]);
  });

  it('and the operations that seal are no danger', async () => {
    const text = `
      import { installSeal, protectTable, RlsMigration, sealJoinTable, sealKeys, sealTable, upgradeSeal } from 'nestjs-rls-tenants/migrations';
      export class Sealed1760000000000 extends RlsMigration {
        readonly operations = [
          installSeal({ appRole: 'app' }),
          sealKeys({ keys: () => sealKeysFromEnvironment() }),
          protectTable({ table: 'tag', tenantIdType: 'uuid', appRole: 'app', sealed: true }),
          sealTable({ table: 'note', tenantIdType: 'uuid' }),
          sealJoinTable({ joinTable: 'note_tag', tenantIdType: 'uuid' }),
          upgradeSeal(),
        ];
      }`;
    expect(places(await lintText(text, NOTE))).toEqual([]);
  });

  it('a join table that is looked up through its sides is not MIG052’s: write it by protectJoinTable', async () => {
    const exists = existsJoinTablePredicate({
      joinTable: 'note',
      tenantIdType: 'uuid',
      sealed: true,
      sides: [{ table: 'tag', columns: [{ column: 'tag_id', referencedColumn: 'id' }] }],
    });
    expect(await shape(policy(exists))).toHaveLength(1);
  });
});
