import { misfit, type CatalogColumn } from './catalog.js';

function column(type: string, labels: string[] = [], array = false): CatalogColumn {
  const [, baseType, length] = /^([^(]+)(?:\((.+)\))?$/.exec(type)!;
  const typmod = length === undefined ? -1 : Number(length.replace(',', '0'));
  const rest = { notNull: false, hasDefault: false, generated: false, sequence: null };
  return { name: 'c', type, baseType: baseType!, typmod, labels, array, ...rest };
}

describe('misfit()', () => {
  it.each([
    ['text', 'text'],
    ['integer', 'bigint'],
    ['smallint', 'numeric'],
    ['character varying(20)', 'text'],
    ['character varying(20)', 'character varying(30)'],
    ['character varying(20)', 'character varying'],
    ['numeric(10,2)', 'numeric'],
  ])('%s fits into %s', (old, type) => {
    expect(misfit(column(old), column(type))).toBeUndefined();
  });

  it.each([
    ['bigint', 'integer'],
    ['bigint', 'double precision'],
    ['text', 'character varying(20)'],
    ['character varying', 'character varying(20)'],
    ['character varying(30)', 'character varying(20)'],
    ['numeric(10,4)', 'numeric(10,2)'],
    ['timestamp without time zone', 'timestamp with time zone'],
    ['json', 'jsonb'],
  ])('%s does not fit into %s, which would refuse, round or reinterpret values', (old, type) => {
    expect(misfit(column(old), column(type))).toBe(`is ${old}, not ${type}`);
  });

  it('an enum fits by its labels, not by its name', () => {
    const color = column('color', ['red', 'green']);
    expect(misfit(column('a.color', ['green']), color)).toBeUndefined();
    expect(misfit(column('a.color', ['green', 'blue']), color)).toBe(
      'has enum values that color lacks: blue',
    );
    expect(misfit(column('text'), color)).toBe('is text, not color');
    expect(misfit(column('a.color[]', ['green'], true), color)).toBe('is a.color[], not color');
  });
});
