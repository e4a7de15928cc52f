import { RlsConfigurationError } from '../errors.js';
import {
  checkSettingName,
  objectName,
  parseTableName,
  quoteIdentifier,
  quoteLiteral,
  quoteRole,
  quoteTable,
  tablePath,
} from './identifiers.js';

describe('quoteIdentifier', () => {
  it.each([
    ['note', '"note"'],
    ['My Note', '"My Note"'],
    ['a"b', '"a""b"'],
    ['"; DROP TABLE note; --', '"""; DROP TABLE note; --"'],
    ['a.b', '"a.b"'],
  ])('quotes %j', (name, quoted) => {
    expect(quoteIdentifier(name)).toBe(quoted);
  });

  it.each(['', 'a\0b', 'x'.repeat(64), 'é'.repeat(32), undefined, 7, ['note']])('refuses %j', (name) => {
    expect(() => quoteIdentifier(name as string)).toThrow(RlsConfigurationError);
  });

  it('takes a name of 63 bytes', () => {
    expect(quoteIdentifier('é'.repeat(31) + 'e')).toHaveLength(34);
  });
});

describe('quoteRole', () => {
  it.each(['public', 'none'])('refuses %s, which PostgreSQL reads as a keyword even in quotes', (role) => {
    expect(() => quoteRole(role)).toThrow(RlsConfigurationError);
  });

  it('quotes other names', () => {
    expect(quoteRole('Public')).toBe('"Public"');
  });
});

describe('quoteTable', () => {
  it('quotes schema and table apart', () => {
    expect(quoteTable('billing.note')).toBe('"billing"."note"');
  });

  it.each(['', '.note', 'billing.', 'db.billing.note'])('refuses %j', (path) => {
    expect(() => parseTableName(path)).toThrow(RlsConfigurationError);
  });

  it.each([
    [{ name: 'note' }, 'note', '"note"'],
    [{ schema: 'billing', name: 'My note' }, 'billing.My note', '"billing"."My note"'],
    [{ schema: 'public', name: 'v1.note' }, 'public."v1.note"', '"public"."v1.note"'],
    [{ schema: 'a.b', name: 'c"d.e' }, '"a.b"."c""d.e"', '"a.b"."c""d.e"'],
    [{ schema: 'public', name: '"note"' }, 'public."""note"""', '"public"."""note"""'],
    [{ schema: 'public', name: 'no"te' }, 'public.no"te', '"public"."no""te"'],
  ])('reads and quotes the path of %j, whatever its names hold', (table, path, quoted) => {
    expect(tablePath(table)).toBe(path);
    expect(parseTableName(path)).toEqual(table);
    expect(quoteTable(path)).toBe(quoted);
  });
});

describe('quoteLiteral', () => {
  it.each([
    ["it's", "'it''s'"],
    ['\\', " E'\\\\'"],
    ["\\'; DROP TABLE note; --", " E'\\\\''; DROP TABLE note; --'"],
  ])('quotes %j', (text, quoted) => {
    expect(quoteLiteral(text)).toBe(quoted);
  });

  it('refuses a NUL', () => {
    expect(() => quoteLiteral('a\0')).toThrow(RlsConfigurationError);
  });
});

describe('checkSettingName', () => {
  it.each(['rls.current_tenant', 'a.b.c', '_x.y$1'])('takes %s', (name) => {
    expect(checkSettingName(name)).toBe(name);
  });

  it.each([
    'tenant',
    'rls.',
    '.tenant',
    'rls.1a',
    "rls.a'; --",
    'rls.a b',
    'rls.a\n',
    `rls.${'a'.repeat(60)}`,
    undefined,
  ])('refuses %j', (name) => {
    expect(() => checkSettingName(name as string)).toThrow(RlsConfigurationError);
  });
});

describe('objectName', () => {
  it('keeps a name that fits', () => {
    expect(objectName('note', 'admin_policy')).toBe('note_admin_policy');
  });

  it('shortens a longer one to 63 bytes, and tells two of them apart', () => {
    const [one, two] = [
      objectName(`${'é'.repeat(31)}1`, 'admin_policy'),
      objectName(`${'é'.repeat(31)}2`, 'admin_policy'),
    ];
    expect(Buffer.byteLength(one)).toBeLessThanOrEqual(63);
    expect(one).not.toBe(two);
    expect(one).not.toContain('\uFFFD');
  });
});
