import { parseMapping, tenantSchemas } from './schema-mapping.js';

const UUID = '6f1c2d3e-0000-4000-8000-000000000001';

describe('tenantSchemas()', () => {
  it('takes the tenant of each schema from the mapping, in its one spelling', () => {
    expect(tenantSchemas({ schemas: { b: UUID.toUpperCase() } }, ['a', 'b'], 'uuid')).toEqual([
      { schema: 'b', tenantId: UUID },
    ]);
  });

  it('derives it from the name by a pattern, and leaves other schemas alone', () => {
    expect(
      tenantSchemas({ pattern: 'tenant_{id}' }, ['public', 'tenant_12', 'tenant_7', 'tenant_'], 'integer'),
    ).toEqual([
      { schema: 'tenant_12', tenantId: '12' },
      { schema: 'tenant_7', tenantId: '7' },
    ]);
    for (const spelling of [UUID, UUID.replaceAll('-', '_'), UUID.replaceAll('-', '')]) {
      expect(tenantSchemas({ pattern: 't_{id}' }, [`t_${spelling}`], 'uuid')).toEqual([
        { schema: `t_${spelling}`, tenantId: UUID },
      ]);
    }
  });

  it.each([
    ['a schema without a tenant', { pattern: 'tenant_{id}' }, /Schema "tenant_template" has no tenant/],
    ['a tenant id of another type', { schemas: { tenant_1: 'x' } }, /Schema "tenant_1" has no tenant/],
    ['a value that is no tenant id', { schemas: { tenant_1: null as never } }, /"tenant_1" has no tenant/],
    [
      'two schemas with the same tenant',
      { schemas: { tenant_1: 1, tenant_template: '1' } },
      /same tenant "1"/,
    ],
    ['a schema that does not exist', { schemas: { gone: 1 } }, /"gone", which does not exist/],
    ['a mapping of nothing', { schemas: {} }, /names no schema/],
    ['a pattern that nothing follows', { pattern: 'x_{id}' }, /No schema's name follows/],
    ['a pattern without a place', { pattern: 'tenant_1' }, /Invalid pattern/],
    ['a pattern of nothing else', { pattern: '{id}' }, /Invalid pattern/],
    ['a pattern with two places', { pattern: '{id}_{id}' }, /Invalid pattern/],
  ])('refuses %s', (_, mapping, message) => {
    expect(() => tenantSchemas(mapping, ['tenant_1', 'tenant_template'], 'integer')).toThrow(message);
  });
});

describe('parseMapping()', () => {
  it('reads an object of schemas and tenants', () => {
    expect(parseMapping('{"a": 1, "b": "2"}', 'f')).toEqual({ schemas: { a: 1, b: '2' } });
  });

  it.each([
    ['no JSON', '{', /Mapping file f: /],
    ['no object', '["a"]', /it holds no object/],
    ['a schema that is named twice', '{"a": 1, "a": 2}', /it names schema "a" twice/],
  ])('refuses %s', (_, text, message) => {
    expect(() => parseMapping(text, 'f')).toThrow(message);
  });
});
