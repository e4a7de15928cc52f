import { loadModule } from 'libpg-query';
import { outcomeOf, type PredicateNames } from './fail-open.js';
import type { Situation } from './fail-open-values.js';
import { parseExpression } from './policy-expression.js';

const CTX = `( SELECT (NULLIF(current_setting('rls.current_tenant'::text, true), ''::text))::uuid AS "nullif")`;
const RAW = `current_setting('rls.current_tenant'::text, true)`;
const BYPASS = `(current_setting('app.bypass'::text, true) = 'on'::text)`;

/** Of SQL functions whose parameter is called who. */
const BODIES: Readonly<Record<string, string>> = {
  is_mine: `$1 = ${CTX}`,
  named: `who = ${CTX}`,
  // It may run as somebody whom the table's policies do not hold.
  asks: 'EXISTS (SELECT 1 FROM doc d WHERE d.id = who)',
};

/** A table note (id, tenant_id, body, doc_id, is_public), and what its policies refer to. */
const NAMES: PredicateNames = {
  table: 'note',
  tenantColumn: 'tenant_id',
  isKey: (columns) => columns.has('id') || columns.has('tenant_id'),
  notNull: new Set(['id', 'tenant_id']),
  role: 'app',
  isTenantSetting: (name) => name === 'rls.current_tenant',
  relation: (_schema, name) => ({
    tenantColumn: name.endsWith('doc') ? 'tenant_id' : undefined,
    filtered: name === 'doc',
    isKey: (columns) => columns.has('id'),
  }),
  function: (_schema, name) => {
    const body = BODIES[name];
    return {
      readsTenant: name === 'current_tenant',
      returns: body === undefined ? undefined : treeOf(body),
      parameters: ['who'],
    };
  },
};

function treeOf(text: string) {
  const { tree, unreadable } = parseExpression(text, 'note');
  if (unreadable !== undefined) throw new Error(unreadable);
  return tree;
}

function canBeTrue(text: string, situation: Situation, names = NAMES): boolean {
  return outcomeOf(treeOf(text), names, situation).canBeTrue;
}

describe('a predicate that is evaluated without knowing the row', () => {
  beforeAll(() => loadModule());

  it.each([
    ['the library’s own', `(tenant_id = ${CTX})`],
    ['without NULLIF', `(tenant_id = (${RAW})::uuid)`],
    ['reversed', `(${CTX} = tenant_id)`],
    ['narrowed', `((tenant_id = ${CTX}) AND (is_public OR (body ~~ '%'::text)))`],
    ['false for everybody', 'false'],
    ['a CASE', `CASE WHEN (${RAW} IS NULL) THEN false ELSE (tenant_id = ${CTX}) END`],
    ['a COALESCE that closes', `COALESCE((tenant_id = ${CTX}), false)`],
    ['IS TRUE', `((tenant_id = ${CTX}) IS TRUE)`],
    ['a helper function', '(tenant_id = app.current_tenant())'],
    ['an SQL function that is looked into', 'app.is_mine(tenant_id)'],
    ['an SQL function with named parameters', 'app.named(tenant_id)'],
    ['a JSON document in the setting', `(tenant_id = (((${RAW})::json ->> 'tenant'::text))::uuid)`],
    [
      'EXISTS of the tenant’s own parent',
      `(EXISTS ( SELECT 1 FROM public.bare_doc side_1 WHERE ((side_1.id = note.doc_id) AND (side_1.tenant_id = ${CTX}))))`,
    ],
    ['EXISTS of a parent with policies', `(EXISTS ( SELECT 1 FROM public.doc d WHERE (d.id = note.doc_id)))`],
    ['IN a table with policies', `(doc_id IN ( SELECT d.id FROM public.doc d))`],
    [
      'EXISTS through a join',
      `(EXISTS ( SELECT 1 FROM (public.page p JOIN public.doc d ON ((d.id = p.doc_id))) WHERE (p.id = note.doc_id)))`,
    ],
    [
      'a table that maps tenants to rows',
      `(id IN ( SELECT m.note_id FROM public.membership m WHERE (m.tenant = ${CTX})))`,
    ],
    [
      'a tenant looked up by its name',
      `(tenant_id = ( SELECT t.id FROM public.tenant t WHERE (t.slug = ${RAW})))`,
    ],
  ])('%s is true neither for another tenant nor without one', (_name, text) => {
    expect(canBeTrue(text, { setting: 'other' })).toBe(false);
    expect(canBeTrue(text, { setting: 'unset' })).toBe(false);
    expect(canBeTrue(text, { setting: 'empty' })).toBe(false);
  });

  it.each([
    ['true', 'true'],
    ['1 = 1', '(1 = 1)'],
    ['any tenant in context', `(${RAW} <> ''::text)`],
    ['OR of something else', `((tenant_id = ${CTX}) OR is_public)`],
    ['<>', `(tenant_id <> ${CTX})`],
    ['>=', `(tenant_id >= ${CTX})`],
    ['NOT =', `(NOT (tenant_id = ${CTX}))`],
    ['IS DISTINCT FROM', `(tenant_id IS DISTINCT FROM ${CTX})`],
    ['another column', `(doc_id = ${CTX})`],
    ['the row’s own tenant', '(tenant_id = tenant_id)'],
    ['a CASE', `CASE WHEN is_public THEN true ELSE (tenant_id = ${CTX}) END`],
    ['a privileged tenant', `((tenant_id)::text = ${RAW}) OR (${RAW} = 'admin'::text)`],
    ['LIKE everything', `((tenant_id)::text ~~ '%'::text)`],
    ['an unknown function', 'app.may_see(id)'],
    ['an operator of somebody’s', `(tenant_id OPERATOR(app.=) ${CTX})`],
    [
      'EXISTS that asks nothing of this row',
      `(EXISTS ( SELECT 1 FROM public.doc d WHERE (d.tenant_id = ${CTX})))`,
    ],
    [
      'EXISTS of any own row that looks the same',
      `(EXISTS ( SELECT 1 FROM public.bare_doc d WHERE ((d.body = note.body) AND (d.tenant_id = ${CTX}))))`,
    ],
    ['an SQL function that asks a table', 'app.asks(doc_id)'],
    [
      'EXISTS of a parent without policies',
      `(EXISTS ( SELECT 1 FROM public.bare_doc d WHERE (d.id = note.doc_id)))`,
    ],
    ['NOT EXISTS', `(NOT (EXISTS ( SELECT 1 FROM public.doc d WHERE (d.id = note.doc_id))))`],
    [
      'a LEFT JOIN’s condition',
      `(EXISTS ( SELECT 1 FROM (public.page p LEFT JOIN public.bare_doc d ON ((d.tenant_id = ${CTX}))) WHERE (p.id = note.doc_id)))`,
    ],
    [
      'an inner join’s condition on the side that may be missing',
      `(EXISTS ( SELECT 1 FROM (public.page p LEFT JOIN (public.bare_doc d JOIN public.bare_doc e ON (((e.id = note.doc_id) AND (e.tenant_id = ${CTX})))) ON ((d.id = p.doc_id))) WHERE (p.id = note.doc_id)))`,
    ],
    [
      'a count, which is a row where there is none',
      `(( SELECT count(*) AS count FROM public.doc d WHERE (d.id = note.doc_id)) = 0)`,
    ],
    [
      'EXISTS of a count',
      `(EXISTS ( SELECT count(*) AS count FROM public.doc d WHERE (d.id = note.doc_id)))`,
    ],
    ['a UNION', `(tenant_id IN ( SELECT ${CTX} UNION SELECT note_1.tenant_id FROM public.note note_1))`],
    ['current_user', '(owner = CURRENT_USER)'],
  ])('%s can be true for another tenant’s row', (_name, text) => {
    expect(canBeTrue(text, { setting: 'other' })).toBe(true);
  });

  it.each([
    ['IS NULL OR', `((${RAW} IS NULL) OR (tenant_id = ${CTX}))`, ['unset']],
    ["= '' OR", `((${RAW} = ''::text) OR ((tenant_id)::text = ${RAW}))`, ['empty']],
    [
      'COALESCE with the column',
      `(COALESCE((NULLIF(${RAW}, ''::text))::uuid, tenant_id) = tenant_id)`,
      ['unset', 'empty'],
    ],
    ['COALESCE of the setting', `(COALESCE(${RAW}, (tenant_id)::text) = (tenant_id)::text)`, ['unset']],
    ['NOT DISTINCT', `((tenant_id = ${CTX}) IS NOT FALSE)`, ['unset', 'empty']],
    [
      'a CASE',
      `CASE WHEN (COALESCE(${RAW}, ''::text) = ''::text) THEN true ELSE (tenant_id = ${CTX}) END`,
      ['unset', 'empty'],
    ],
    ['a regular expression', `((tenant_id)::text ~ ${RAW})`, ['empty']],
  ])('%s opens without a tenant', (_name, text, situations) => {
    expect(canBeTrue(text, { setting: 'other' })).toBe(false);
    expect(canBeTrue(text, { setting: 'unset' })).toBe(situations.includes('unset'));
    expect(canBeTrue(text, { setting: 'empty' })).toBe(situations.includes('empty'));
  });

  it.each([
    ['IS NOT DISTINCT FROM', `(tenant_id IS NOT DISTINCT FROM ${CTX})`],
    ['OR IS NULL', `((tenant_id = ${CTX}) OR (tenant_id IS NULL))`],
  ])('%s opens for rows without a tenant, where there can be such rows', (_name, text) => {
    expect(canBeTrue(text, { setting: 'unset' })).toBe(false);
    expect(canBeTrue(text, { setting: 'unset' }, { ...NAMES, notNull: new Set() })).toBe(true);
    expect(canBeTrue(text, { setting: 'other' }, { ...NAMES, notNull: new Set() })).toBe(false);
  });

  it('current_setting with one argument raises where the setting was never set, which shows nothing', () => {
    const text = `((current_setting('rls.current_tenant'::text) IS NULL) OR (tenant_id = ${CTX}))`;
    expect(canBeTrue(text, { setting: 'unset' })).toBe(false);
  });

  it('says whether an empty setting is cast to a type that refuses it', () => {
    const castsEmpty = (text: string) => outcomeOf(treeOf(text), NAMES, { setting: 'empty' }).castsEmpty;
    expect(castsEmpty(`(tenant_id = (${RAW})::uuid)`)).toBe(true);
    expect(castsEmpty(`(tenant_id = ANY ((${RAW})::uuid[]))`)).toBe(true);
    expect(castsEmpty(`(tenant_id = ${CTX})`)).toBe(false);
    expect(castsEmpty(`((tenant_id)::text = (${RAW})::text)`)).toBe(false);
  });

  it.each([
    ['other settings', `((tenant_id = ${CTX}) OR ${BYPASS})`, 'otherSettings'],
    [
      'other settings',
      `((tenant_id = ${CTX}) OR (COALESCE(current_setting('app.admin'::text, true), 'off'::text))::boolean)`,
      'otherSettings',
    ],
    [
      'a literal',
      `((tenant_id = ${CTX}) OR (tenant_id = '00000000-0000-4000-8000-00000000000a'::uuid))`,
      'literalsMatch',
    ],
    ['a list of literals', `(tenant_id = ANY (ARRAY['a'::uuid, 'b'::uuid]))`, 'literalsMatch'],
    ['LIKE', `((tenant_id)::text ~~ ${RAW})`, 'patternsMatch'],
    ['LIKE with a wildcard', `((tenant_id)::text ~~ (${RAW} || '%'::text))`, 'patternsMatch'],
    ['a list', `((tenant_id)::text = ANY (string_to_array(${RAW}, ','::text)))`, 'patternsMatch'],
    [
      'an array',
      `((tenant_id)::text IN ( SELECT unnest(string_to_array(${RAW}, ','::text)) AS unnest))`,
      'patternsMatch',
    ],
    ['a position', `(strpos(${RAW}, (tenant_id)::text) > 0)`, 'patternsMatch'],
  ] as const)('%s: true for another tenant’s row if that is supposed', (_name, text, supposed) => {
    expect(canBeTrue(text, { setting: 'other' })).toBe(false);
    expect(canBeTrue(text, { setting: 'other', [supposed]: true })).toBe(true);
  });

  it('a setting that only narrows opens nothing', () => {
    expect(canBeTrue(`((tenant_id = ${CTX}) AND ${BYPASS})`, { setting: 'other', otherSettings: true })).toBe(
      false,
    );
  });
});
