import {
  Column,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  PrimaryGeneratedColumn,
  Check,
  Unique,
  ViewColumn,
  ViewEntity,
  type ColumnOptions,
} from 'typeorm';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import { SERVER_VERSION } from '../support/database.js';
import { A, B, type Entities } from './generate-entities.js';
import { createProject, type Project } from './generate-support.js';

// security_invoker, and a list of columns in ON DELETE SET NULL.
const since15 = SERVER_VERSION >= 150000 ? describe : describe.skip;

let project: Project;

beforeEach(async () => {
  project = await createProject();
});
afterEach(() => project.drop());

/** A tenant-scoped entity of a table with these columns beside its key and its tenant. */
function entityOf(
  table: string,
  columns: Readonly<Record<string, PropertyDecorator>>,
  ...decorators: ClassDecorator[]
): new () => object {
  @Entity(table)
  @TenantScoped()
  class Made {
    @PrimaryGeneratedColumn('uuid') id!: string;
    @TenantColumn({ type: 'uuid' }) tenantId!: string;
  }
  for (const [name, decorate] of Object.entries(columns)) decorate(Made.prototype, name);
  for (const decorate of decorators) decorate(Made);
  return Made;
}

const text = (options: ColumnOptions = {}) => Column('text', options);
const letters = (values: string[], options: ColumnOptions) =>
  Column('enum', { enum: values, enumName: 'letter', ...options });

function related(property: string | undefined): Entities {
  const Owner = entityOf('owner', { name: text({ default: 'x' }) });
  const Item = entityOf('item', { title: text() });
  if (property !== undefined) {
    ManyToOne(() => Owner, { nullable: true })(Item.prototype, property);
    JoinColumn()(Item.prototype, property);
  }
  return [Owner, Item];
}

function withView(expression: string, materialized = false): Entities {
  @ViewEntity('item_view', { expression, materialized })
  class ItemView {
    @ViewColumn() title!: string;
  }
  return [entityOf('item', { title: text() }), ItemView];
}

const ROWS = [A, B]
  .map((tenant) => `SET rls.current_tenant = '${tenant}'; INSERT INTO item (title) VALUES ('one'), ('two');`)
  .join('');

/** Columns, constraints, indexes, enums and policies, as PostgreSQL defines them. */
async function definitions(): Promise<string[]> {
  const rows = await project.asSuperuser<{ definition: string }>(
    `SELECT pg_catalog.format('%s.%s %s %s %s', table_name, column_name, udt_name, is_nullable, column_default) AS definition
       FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('item', 'owner')
     UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
       WHERE conrelid IN (to_regclass('item'), to_regclass('owner')) AND convalidated
     UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
     UNION ALL SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum
     UNION ALL SELECT pg_catalog.format('%s %s', policyname, qual) FROM pg_policies
     ORDER BY 1`,
  );
  return rows.map(({ definition }) => definition);
}

/** Takes a database with rows from some entities to others, and back to where it was. */
async function expectThereAndBack(before: Entities, after: Entities): Promise<void> {
  expect(await project.generate(before)).toMatchObject({ code: 0 });
  await project.migrate();
  expect(await project.failures(before)).toEqual([]);
  await project.asSuperuser(ROWS);
  const former = await definitions();

  const { code, files } = await project.generate(after);
  expect({ code, changes: files.length > 0 }).toEqual({ code: 0, changes: true });
  await project.migrate();
  expect(await definitions()).not.toEqual(former);
  expect(await project.failures(after)).toEqual([]);
  expect(await project.asSuperuser('SELECT title FROM item')).toHaveLength(4);
  expect(await project.generate(after)).toMatchObject({ code: 0, files: [] });

  for (const _file of files) await project.revert();
  expect(await definitions()).toEqual(former);
}

since15('a change is made and taken back', () => {
  it('of a column that gets another name: what was dropped comes back while the new name is there', () => {
    const named = (name: string) => [
      entityOf(
        'item',
        { title: text(), [name]: text({ default: 'x' }) },
        Index(['tenantId', name]),
        Unique(['tenantId', name, 'title']),
      ),
    ];
    return expectThereAndBack(named('sku'), named('code'));
  });

  it('of a relation that gets another name', () => expectThereAndBack(related('owner'), related('boss')));

  it('of a relation that goes with its column, and with the key that it referenced', () =>
    expectThereAndBack(related('owner'), related(undefined)));

  it('of an enum that grows together with its default', () =>
    expectThereAndBack(
      [entityOf('item', { title: text(), letter: letters(['x', 'y'], { default: 'x' }) })],
      [entityOf('item', { title: text(), letter: letters(['x', 'm', 'y', 'z'], { default: 'z' }) })],
    ));

  it('of an enum that two tables have, one of them as an array', () => {
    const both = (values: string[]) => [
      entityOf('item', { title: text(), letter: letters(values, { default: 'x' }) }),
      entityOf('owner', { letters: letters(values, { array: true, default: [] }) }),
    ];
    return expectThereAndBack(both(['x', 'y']), both(['x', 'y', 'z']));
  });

  it('of a column that goes with a constraint that somebody named', () =>
    expectThereAndBack(
      [
        entityOf(
          'item',
          { title: text(), a: text({ nullable: true }), b: text({ nullable: true }) },
          Check('a_is_given', `a <> ''`),
        ),
      ],
      [entityOf('item', { title: text() })],
    ));
});

describe('a table with comments', () => {
  it('is made with them', async () => {
    const entities = [entityOf('item', { title: text({ comment: "what it's called; `${here}`" }) })];
    expect(await project.generate(entities)).toMatchObject({ code: 0 });
    expect(await project.lintErrors()).toEqual([]);
    await project.migrate();
    expect(await project.asSuperuser(`SELECT col_description('item'::regclass, 3) AS comment`)).toEqual([
      { comment: "what it's called; `${here}`" },
    ]);
    expect(await project.generate(entities)).toMatchObject({ code: 0, files: [] });
    await project.revert();
    expect(await project.asSuperuser(`SELECT to_regclass('item') AS item`)).toEqual([{ item: null }]);
  });
});

since15('a view of a tenant table', () => {
  const seen = async () => {
    await project.asSuperuser(`GRANT SELECT ON item_view TO ${project.roles.app}`);
    return project.as('app', `SET rls.current_tenant = '${A}'; SELECT title FROM item_view`);
  };

  it('shows a tenant its own rows, also after its migration is reverted', async () => {
    await project.generate(withView('SELECT title FROM item'));
    await project.migrate();
    await project.asSuperuser(ROWS);
    const { files } = await project.generate(withView('SELECT upper(title) AS title FROM item'));
    await project.migrate();
    for (const _file of files) await project.revert();
    const [view] = await project.asSuperuser<{ reloptions: string[] }>(
      `SELECT reloptions FROM pg_class WHERE relname = 'item_view'`,
    );
    expect(view?.reloptions).toEqual(['security_invoker=true']);
    expect(await project.asSuperuser('SELECT FROM item_view')).toHaveLength(4);
    expect((await seen()).length).toBe(2);
  });

  it('that another view reads is read as its caller too', async () => {
    @ViewEntity('outer_view', { expression: 'SELECT title FROM item_view', dependsOn: ['ItemView'] })
    class OuterView {
      @ViewColumn() title!: string;
    }
    await project.generate(withView('SELECT title FROM item'));
    await project.migrate();
    const { code, stderr } = await project.generate([
      ...(withView('SELECT title FROM item') as unknown[]),
      OuterView,
    ] as Entities);
    expect(code).toBe(0);
    expect(stderr).toMatch(/View "outer_view" reads view "item_view" with its owner's rights/);
  });

  it('is refused where it is materialized', async () => {
    const { code, stderr, files } = await project.generate(withView('SELECT title FROM item', true));
    expect({ code, files }).toEqual({ code: 2, files: [] });
    expect(stderr).toMatch(/Materialized view "item_view" keeps rows of the tenant table "item"/);
  });
});

describe('refused before anything is written', () => {
  it('a table whose name PostgreSQL would cut off: what protects it would come too late', async () => {
    const { code, stderr, files } = await project.generate([entityOf('t'.repeat(64), {})]);
    expect({ code, files }).toEqual({ code: 2, files: [] });
    expect(stderr).toMatch(/Invalid PostgreSQL identifier "t{64}"/);
  });

  it('a unique index in another form under the same name: duplicates could come in between', async () => {
    const indexed = (...columns: string[]) => [
      entityOf('item', { title: text(), sku: text() }, Index('one_item', columns, { unique: true })),
    ];
    await project.generate(indexed('tenantId', 'title', 'sku'));
    await project.migrate();
    const { code, stderr, files } = await project.generate(indexed('tenantId', 'sku'));
    expect({ code, files }).toEqual({ code: 2, files: [] });
    expect(stderr).toMatch(/Unique index "one_item" of table "item"[\s\S]*Give the new one another name/);
  });

  it('a generated column that becomes a plain one', async () => {
    const twice = (generated: ColumnOptions) => [
      entityOf('item', { title: text(), size: Column('int', { nullable: true, ...generated }) }),
    ];
    await project.generate(twice({ generatedType: 'STORED', asExpression: 'length(title)' }));
    await project.migrate();
    const { code, stderr, files } = await project.generate(twice({}));
    expect({ code, files }).toEqual({ code: 2, files: [] });
    expect(stderr).toMatch(/ALTER COLUMN "size" DROP EXPRESSION/);
  });
});
