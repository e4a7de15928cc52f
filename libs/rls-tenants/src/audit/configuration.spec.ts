import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isExpired, matches, parseAllowEntry } from './allow-list.js';
import { parseConfiguration } from './configuration.js';
import { SEVERITIES } from './finding.js';

const IDS = new Set(['RLS004', 'RLS022']);
const parse = (content: unknown) => parseConfiguration(JSON.stringify(content), 'rls.json', IDS);
const entry = {
  rule: 'RLS022',
  object: 'function "public.sum()"',
  reason: 'It adds up, and returns no row.',
};

describe('a configuration file', () => {
  it('sets severities, switches rules off, and holds an allow list', () => {
    const { severities, allow } = parse({
      $schema: './schema.json',
      rules: { RLS004: 'off', RLS022: 'warning' },
      allow: [entry, { ...entry, expires: '2027-01-31' }],
    });
    expect([...severities]).toEqual([
      ['RLS004', 'off'],
      ['RLS022', 'warning'],
    ]);
    expect(allow).toEqual([entry, { ...entry, expires: '2027-01-31' }]);
  });

  it('may be empty', () => {
    expect(parse({})).toEqual({ severities: new Map(), allow: [] });
  });

  it.each([
    ['is no JSON', '{ rules: {} }', /rls\.json is no JSON/],
    ['is a list', '[]', /holds no JSON object/],
    ['is null', 'null', /holds no JSON object/],
    ['has an unknown key', '{ "rule": {} }', /unknown key "rule"/],
    ['sets rules in a list', '{ "rules": ["RLS004"] }', /"rules" is no object/],
    ['names an unknown rule', '{ "rules": { "RLS4": "off" } }', /"RLS4" that does not exist/],
    ['names an unknown severity', '{ "rules": { "RLS004": "none" } }', /severity of RLS004 is "none"/],
    ['has an allow list that is none', '{ "allow": {} }', /"allow" is no list/],
    ['has an entry that is no object', '{ "allow": ["RLS004"] }', /allow\[0\] is no object/],
  ])('is refused if it %s', (_why, text, message) => {
    expect(() => parseConfiguration(text, 'rls.json', IDS)).toThrow(message);
  });

  it('is what its published schema says', () => {
    const schema = JSON.parse(
      readFileSync(join(import.meta.dirname, 'configuration.schema.json'), 'utf8'),
    ) as {
      properties: {
        rules: { patternProperties: Record<string, { enum: string[] }> };
        allow: { items: { required: string[]; properties: object } };
      };
    };
    expect(Object.keys(schema.properties)).toEqual(['$schema', 'rules', 'allow']);
    const [[pattern, { enum: severities }]] = Object.entries(schema.properties.rules.patternProperties) as [
      [string, { enum: string[] }],
    ];
    expect('RLS004').toMatch(new RegExp(pattern));
    expect(severities).toEqual([...SEVERITIES, 'off']);
    expect(schema.properties.allow.items.required).toEqual(['rule', 'object', 'reason']);
    expect(Object.keys(schema.properties.allow.items.properties)).toEqual([
      'rule',
      'object',
      'reason',
      'expires',
    ]);
  });
});

describe('an entry of the allow list', () => {
  it.each([
    ['a reason', { ...entry, reason: undefined }, /has no reason/],
    ['words in its reason', { ...entry, reason: '  ' }, /has no reason/],
    ['an object', { ...entry, object: undefined }, /has no object/],
    ['a rule', { ...entry, rule: undefined }, /has no rule/],
    ['a rule that exists', { ...entry, rule: 'RLS999' }, /"RLS999" that does not exist/],
    ['known keys', { ...entry, expire: '2027-01-31' }, /unknown key "expire"/],
    ['a day on which it expires', { ...entry, expires: 'next year' }, /"next year", which is no day/],
    ['a day that there is', { ...entry, expires: '2027-02-30' }, /"2027-02-30", which is no day/],
    ['a day and no time', { ...entry, expires: '2027-01-31T00:00:00Z' }, /which is no day/],
    ['a text as its day', { ...entry, expires: 20270131 }, /has no expires/],
  ])('must have %s', (_what, value, message) => {
    expect(() => parseAllowEntry(value, 'rls.json: allow[3]', IDS)).toThrow(message);
    expect(() => parseAllowEntry(value, 'rls.json: allow[3]', IDS)).toThrow(/^rls\.json: allow\[3\]/);
  });

  const finding = (object: string, ruleId = 'RLS022') => ({
    ruleId,
    object,
    title: 't',
    severity: 'error' as const,
    message: 'm',
    fix: 'f',
  });

  it('matches the whole object, and * any text', () => {
    const accepts = (object: string, found: string) => matches({ ...entry, object }, finding(found));
    expect(accepts('table "public.note"', 'table "public.note"')).toBe(true);
    expect(accepts('table "public.note"', 'table "public.notebook"')).toBe(false);
    expect(accepts('note', 'table "public.note"')).toBe(false);
    expect(accepts('table "audit.*"', 'table "audit.event"')).toBe(true);
    expect(accepts('table "audit.*"', 'table "auditor.event"')).toBe(false);
    expect(accepts('*', 'table "a\nb"')).toBe(true);
    expect(accepts('function "f(*)"', 'function "f(integer, text)"')).toBe(true);
    expect(accepts('table "a.b"', 'table "axb"')).toBe(false);
    expect(matches(entry, finding(entry.object, 'RLS004'))).toBe(false);
  });

  it('holds to the end of its last day', () => {
    const until = { ...entry, expires: '2027-01-31' };
    expect(isExpired(until, '2027-01-31')).toBe(false);
    expect(isExpired(until, '2027-02-01')).toBe(true);
    expect(isExpired(entry, '2999-01-01')).toBe(false);
  });
});
