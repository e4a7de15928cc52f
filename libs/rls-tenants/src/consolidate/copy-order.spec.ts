import { copyOrder, type Reference } from './copy-order.js';

const reference = (table: string, referencedTable: string, nullable: string[] = []): Reference => ({
  name: `${table}->${referencedTable}`,
  table,
  referencedTable,
  nullable,
});

describe('copyOrder()', () => {
  it('puts each table after those that it references', () => {
    const { tables } = copyOrder(
      ['link', 'note', 'author'],
      [reference('link', 'note'), reference('note', 'author'), reference('link', 'author')],
    );
    expect(tables).toEqual(['author', 'note', 'link']);
  });

  it('leaves references to tables that are not copied aside', () => {
    expect(copyOrder(['note'], [reference('note', 'plan')])).toEqual({
      tables: ['note'],
      deferred: [],
      impossible: [],
    });
  });

  it('defers a reference of a table to itself', () => {
    const parent = reference('note', 'note', ['parent_id']);
    expect(copyOrder(['note'], [parent])).toEqual({ tables: ['note'], deferred: [parent], impossible: [] });
  });

  it('breaks a cycle at a reference that may be NULL, and at no other', () => {
    const [owner, lead] = [reference('team', 'person'), reference('person', 'team', ['team_id'])];
    const order = copyOrder(['log', 'person', 'team'], [owner, lead, reference('log', 'team', ['team_id'])]);
    expect(order).toEqual({ tables: ['person', 'team', 'log'], deferred: [lead], impossible: [] });
  });

  it('says which cycle cannot be broken', () => {
    const order = copyOrder(['a', 'b', 'c'], [reference('a', 'b'), reference('b', 'a'), reference('c', 'c')]);
    expect(order.impossible.map((path) => [...path].sort())).toEqual([['a', 'b'], ['c']]);
  });
});
