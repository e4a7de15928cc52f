import { loadModule } from 'libpg-query';
import { parseExpression } from './policy-expression.js';

const parse = (text: string) => parseExpression(text, 'note');

/** As pg_get_expr writes the library's own predicate. */
/** What a sub-select around the setting looks like in the catalog. */
const HIDDEN = `(tenant_id = ( SELECT (NULLIF(current_setting('rls.current_tenant'::text, true), ''::text))::uuid AS "nullif"))`;

describe('parseExpression', () => {
  beforeAll(() => loadModule());

  it('finds the reads of settings, how they are made and where', () => {
    expect(parse(HIDDEN).settings).toEqual([
      { name: 'rls.current_tenant', missingOk: true, nullif: true, perRow: false },
    ]);
    expect(parse(`tenant_id = (current_setting('a.b'::text))::uuid`).settings).toEqual([
      { name: 'a.b', missingOk: false, nullif: false, perRow: true },
    ]);
    expect(parse(`body = current_setting(('a.'::text || body), false)`).settings).toEqual([
      { name: undefined, missingOk: false, nullif: false, perRow: true },
    ]);
    // Only NULLIF(…, '') around the read itself helps.
    expect(parse(`body = NULLIF(upper(current_setting('a.b', true)), '')`).settings).toMatchObject([
      { nullif: false },
    ]);
    expect(parse(`body = NULLIF(current_setting('a.b', true), 'x')`).settings).toMatchObject([
      { nullif: false },
    ]);
  });

  it('a sub-select that refers to the row is evaluated per row', () => {
    const text = `EXISTS ( SELECT 1 FROM public.doc d WHERE ((d.id = note.doc_id) AND (d.tenant_id = current_setting('a.b'))))`;
    const { settings, columns, relations } = parse(text);
    expect(settings).toMatchObject([{ perRow: true }]);
    expect([...columns]).toEqual(['doc_id']);
    expect(relations).toEqual([{ schema: 'public', name: 'doc' }]);
  });

  it('takes comparisons apart', () => {
    expect(parse(HIDDEN).comparisons).toMatchObject([
      {
        column: 'tenant_id',
        operator: '=',
        bare: true,
        conjunct: true,
        constant: false,
        settings: [{ name: 'rls.current_tenant' }],
        otherColumns: [],
      },
    ]);
    expect(
      parse(`((tenant_id)::text = current_setting('a.b')) OR (body ~~ 'x%'::text)`).comparisons,
    ).toMatchObject([
      { column: 'tenant_id', bare: false, conjunct: false },
      { column: 'body', operator: '~~', constant: true },
    ]);
    expect(parse(`(id > 1) AND ((id < 9) AND (owner = CURRENT_USER))`).comparisons).toMatchObject([
      { operator: '>', conjunct: true },
      { operator: '<', conjunct: true },
      { column: 'owner', identities: ['current_user'], conjunct: true },
    ]);
    expect(parse(`NOT (tenant_id IS DISTINCT FROM other_id)`).comparisons).toMatchObject([
      { column: 'tenant_id', operator: 'IS DISTINCT FROM', otherColumns: ['other_id'], conjunct: false },
      { column: 'other_id', otherColumns: ['tenant_id'] },
    ]);
    expect(parse(`tenant_id = ANY (string_to_array(current_setting('a.b'), ','))`).comparisons).toMatchObject(
      [{ operator: '= ANY', functions: [{ name: 'string_to_array' }, { name: 'current_setting' }] }],
    );
  });

  it.each([
    ['true', true],
    ['(1 = 1)', true],
    ['(NOT false)', true],
    ['((1 = 2) OR true)', true],
    ['(NULL::boolean)', null],
    ['false', false],
    ['(true AND (1 <> 1))', false],
    ["('a'::text = 'b'::text)", false],
    ['(id = 1)', undefined],
    [HIDDEN, undefined],
  ])('%s is the constant %s', (text, constant) => {
    expect(parse(text).constant).toBe(constant);
  });

  it('says which constructs are in it', () => {
    expect(parse(`CASE WHEN (a OR b) THEN COALESCE(c, d) ELSE (e IS NULL) END`)).toMatchObject({
      hasOr: true,
      hasCase: true,
      hasCoalesce: true,
      hasNullTest: true,
      hasSubselect: false,
    });
    expect(parse(HIDDEN)).toMatchObject({ hasOr: false, hasCase: false, hasSubselect: true });
  });

  it('tells other people’s functions from pg_catalog’s', () => {
    expect(parse(`public.current_setting('a.b'::text) = body`)).toMatchObject({
      settings: [],
      functions: [{ schema: 'public', name: 'current_setting', perRow: true }],
    });
  });

  it('one text on two tables says what it says about each', () => {
    const text = `EXISTS ( SELECT 1 FROM public.doc d WHERE (d.id = "no""te".doc_id))`;
    expect([...parseExpression(text, 'other').columns]).toEqual([]);
    expect([...parseExpression(text, 'no"te').columns]).toEqual(['doc_id']);
    expect(parseExpression(HIDDEN, 'other')).toBe(parseExpression(HIDDEN, 'note'));
  });

  it('says what it cannot read', () => {
    expect(parse('tenant_id = = 1').unreadable).toContain('syntax error');
    expect(parse('1, 2').unreadable).toBe('it is not one expression');
    expect(parse('true').unreadable).toBeUndefined();
  });
});
