import {
  ChildEntity,
  Column,
  DefaultNamingStrategy,
  Entity,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  OneToMany,
  OneToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  TableInheritance,
  Tree,
  TreeChildren,
  TreeParent,
  type EntityManager,
} from 'typeorm';
import { TenantColumn, TenantScoped, tenantTablesOf } from '../../libs/rls-tenants/src/entities/index.js';
import { createTenantSchema, type TenantSchema } from './support/tenant-schema.js';
import { TENANTS } from './support/work-entities.js';

const [A, B] = TENANTS.uuid;
const RLS = /row-level security policy/;
const FOREIGN_KEY = /violates foreign key constraint/;

/** Opens a schema for the suite that calls it. */
function useSchema(...args: Parameters<typeof createTenantSchema>): TenantSchema {
  const db = {} as TenantSchema;
  beforeAll(async () => {
    Object.assign(db, await createTenantSchema(...args));
  });
  afterAll(() => db.drop());
  return db;
}

describe('a join table in the EXISTS form', () => {
  @Entity('label')
  @TenantScoped()
  class Label {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn() tenantId!: string;
  }

  @Entity('letter')
  @TenantScoped({ joinTables: 'exists' })
  class Letter {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn() tenantId!: string;
    @ManyToMany(() => Label, { cascade: true }) @JoinTable({ name: 'letter_label' }) labels!: Label[];
  }

  const db = useSchema([Label, Letter]);

  it('keeps its shape and names its sides', async () => {
    const columns = await db.asSuperuser(
      `SELECT column_name FROM information_schema.columns WHERE table_name = 'letter_label'`,
    );
    expect(columns).toEqual([{ column_name: 'letterId' }, { column_name: 'labelId' }]);
    expect(tenantTablesOf(db.app).at(-1)).toMatchObject({
      table: 'letter_label',
      kind: 'join-table',
      entityName: 'Letter',
      sides: [
        {
          table: 'letter',
          tenantColumn: 'tenant_id',
          columns: [{ column: 'letterId', referencedColumn: 'id' }],
        },
        {
          table: 'label',
          tenantColumn: 'tenant_id',
          columns: [{ column: 'labelId', referencedColumn: 'id' }],
        },
      ],
    });
    expect(await db.pendingQueries()).toEqual([]);
  });

  it("hides another tenant's links and refuses links to another tenant's rows", async () => {
    const save = (manager: EntityManager) => manager.save(Letter, { labels: [{}, {}] });
    const [a, b] = [await db.asTenant(A, save), await db.asTenant(B, save)];
    expect(await db.asSuperuser('SELECT * FROM letter_label')).toHaveLength(4);

    const letters = await db.asTenant(B, (manager) => manager.find(Letter, { relations: { labels: true } }));
    expect(letters).toEqual([
      expect.objectContaining({ id: b.id, labels: [expect.any(Object), expect.any(Object)] }),
    ]);
    expect(await db.asTenant(B, (manager) => manager.query('SELECT * FROM letter_label'))).toHaveLength(2);

    const link = (manager: EntityManager) =>
      manager.createQueryBuilder().relation(Letter, 'labels').of(b.id).add(a.labels[0]!.id);
    await expect(db.asTenant(B, link)).rejects.toThrow(RLS);
  });
});

describe('the closure table of a tree', () => {
  @Entity('folder')
  @TenantScoped()
  @Tree('closure-table')
  class Folder {
    @PrimaryGeneratedColumn('uuid') id!: string;
    @TenantColumn() tenantId!: string;
    @Column('text') name!: string;
    @TreeParent({ onDelete: 'CASCADE' }) parent!: Folder | null;
    @TreeChildren({ cascade: true }) children!: Folder[];
  }

  const db = useSchema([Folder]);

  it('is protected like a join table', async () => {
    expect(tenantTablesOf(db.app).map(({ table, kind, entityName }) => [table, kind, entityName])).toEqual([
      ['folder', 'entity', 'Folder'],
      ['folder_closure', 'join-table', 'Folder'],
    ]);
    expect(await db.pendingQueries()).toEqual([]);
  });

  it('is filled, loaded and moved within its tenant', async () => {
    const save = (manager: EntityManager) =>
      manager.save(Folder, {
        name: 'root',
        children: [{ name: 'left', children: [{ name: 'leaf' }] }, { name: 'right' }],
      });
    const [a] = [await db.asTenant(A, save), await db.asTenant(B, save)];
    const rows = await db.asSuperuser(
      'SELECT tenant_id, count(*)::int FROM folder_closure GROUP BY 1 ORDER BY 1',
    );
    expect(rows).toEqual([A, B].map((tenant_id) => ({ tenant_id, count: 8 })));

    const trees = await db.asTenant(A, (manager) => manager.getTreeRepository(Folder).findTrees());
    expect(trees).toHaveLength(1);
    expect(trees[0]!.children.map((child) => child.name).toSorted()).toEqual(['left', 'right']);

    await db.asTenant(A, async (manager) => {
      const [left, right] = [a.children[0]!, a.children[1]!];
      await manager.save(Folder, { id: left.id, parent: { id: right.id } });
      const leaf = await manager.findOneByOrFail(Folder, { name: 'leaf' });
      const ancestors = await manager.getTreeRepository(Folder).findAncestors(leaf);
      expect(ancestors.map((folder) => folder.name).toSorted()).toEqual(['leaf', 'left', 'right', 'root']);
    });
  });
});

describe('single-table inheritance', () => {
  @Entity('document')
  @TenantScoped()
  @TableInheritance({ column: { type: 'text', name: 'kind' } })
  class Document {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn() tenantId!: string;
    @OneToMany(() => Line, (line) => line.invoice, { cascade: true }) lines!: Line[];
  }

  @ChildEntity()
  class Invoice extends Document {
    @Column('integer', { nullable: true }) total!: number;
  }

  @ChildEntity()
  class Receipt extends Document {
    @ManyToOne(() => Invoice) invoice!: Invoice | null;
  }

  @Entity('line')
  @TenantScoped()
  class Line {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn() tenantId!: string;
    @ManyToOne(() => Invoice, { onDelete: 'CASCADE' }) invoice!: Invoice | null;
  }

  const db = useSchema([Document, Invoice, Receipt, Line]);

  it('is one protected table, whose children are tenant-scoped too', async () => {
    expect(tenantTablesOf(db.app).map(({ table, entityName }) => [table, entityName])).toEqual([
      ['document', 'Document'],
      ['line', 'Line'],
    ]);
    expect(await db.pendingQueries()).toEqual([]);
  });

  it('has composite foreign keys from and to its children', async () => {
    const [a, b] = [
      await db.asTenant(A, (manager) => manager.save(Invoice, { total: 1 })),
      await db.asTenant(B, (manager) => manager.save(Invoice, { total: 2 })),
    ];
    expect(await db.asTenant(A, (manager) => manager.find(Document))).toEqual([
      expect.objectContaining({ id: a.id, tenantId: A }),
    ]);
    expect(await db.asSuperuser('SELECT * FROM document')).toHaveLength(2);
    await expect(db.asTenant(B, (manager) => manager.save(Line, { invoice: { id: a.id } }))).rejects.toThrow(
      FOREIGN_KEY,
    );
    await expect(
      db.asTenant(B, (manager) => manager.save(Receipt, { invoice: { id: a.id } })),
    ).rejects.toThrow(FOREIGN_KEY);
    await expect(
      db.asTenant(B, (manager) => manager.save(Receipt, { invoice: { id: b.id } })),
    ).resolves.toMatchObject({ tenantId: B });
  });
});

describe('a composite primary key that begins with the tenant column', () => {
  @Entity('room')
  @TenantScoped()
  class Room {
    @TenantColumn({ primary: true }) tenantId!: string;
    @PrimaryColumn('integer') id!: number;
  }

  @Entity('guest')
  @TenantScoped()
  class Guest {
    @TenantColumn({ primary: true }) tenantId!: string;
    @PrimaryColumn('integer') id!: number;
    @ManyToOne(() => Room)
    @JoinColumn([
      { name: 'tenant_id', referencedColumnName: 'tenantId' },
      { name: 'room_id', referencedColumnName: 'id' },
    ])
    room!: Room | null;
    @ManyToMany(() => Room) @JoinTable({ name: 'visit' }) visited!: Room[];
  }

  const db = useSchema([Room, Guest]);

  it('needs no further unique constraint, and a key that includes the tenant already stays as it is', async () => {
    const keys = await db.asSuperuser<{ definition: string }>(
      `SELECT replace(pg_get_constraintdef(oid), '"', '') AS definition FROM pg_constraint
       WHERE contype IN ('f', 'u') AND connamespace = 'public'::regnamespace ORDER BY 1`,
    );
    expect(keys.map(({ definition }) => definition)).toEqual([
      'FOREIGN KEY (tenant_id, guestId) REFERENCES guest(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE',
      'FOREIGN KEY (tenant_id, roomId) REFERENCES room(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE',
      'FOREIGN KEY (tenant_id, room_id) REFERENCES room(tenant_id, id)',
    ]);
    expect(await db.pendingQueries()).toEqual([]);
  });

  it('lets two tenants use the same id, each with its own references and links', async () => {
    for (const tenantId of [A, B]) {
      await db.asTenant(tenantId, async (manager) => {
        const room = await manager.save(Room, { id: 1, tenantId });
        await manager.save(Guest, { id: 7, tenantId, room, visited: [room] });
      });
    }
    expect(await db.asSuperuser('SELECT tenant_id, id FROM guest')).toHaveLength(2);
    expect(await db.asSuperuser('SELECT * FROM visit')).toHaveLength(2);
    const guests = await db.asTenant(B, (manager) =>
      manager.find(Guest, { relations: { room: true, visited: true } }),
    );
    expect(guests).toEqual([
      { id: 7, tenantId: B, room: { id: 1, tenantId: B }, visited: [{ id: 1, tenantId: B }] },
    ]);
  });
});

describe('a schema, a prefix and a naming strategy of its own', () => {
  class Prefixing extends DefaultNamingStrategy {
    override columnName(propertyName: string, customName: string, embedded: string[]): string {
      return `c_${super.columnName(propertyName, customName, embedded)}`;
    }
  }

  @Entity('shelf', { schema: 'store' })
  @TenantScoped()
  class Shelf {
    @PrimaryGeneratedColumn() id!: number;
    @TenantColumn({ name: 'owner' }) shopId!: string;
    @OneToOne(() => Shelf) @JoinColumn() next!: Shelf | null;
    @ManyToMany(() => Shelf) @JoinTable({ name: 'neighbour' }) neighbours!: Shelf[];
  }

  const db = useSchema([Shelf], { namingStrategy: new Prefixing(), entityPrefix: 'x_' });

  it('are the database names that are protected', async () => {
    expect(tenantTablesOf(db.app).map(({ table, tenantColumn }) => [table, tenantColumn])).toEqual([
      ['store.x_shelf', 'c_owner'],
      ['store.x_neighbour', 'c_owner'],
    ]);
    expect(await db.pendingQueries()).toEqual([]);
  });

  it('isolate as any other', async () => {
    const save = (manager: EntityManager) => manager.save(Shelf, { neighbours: [] });
    const [a, b] = [await db.asTenant(A, save), await db.asTenant(B, save)];
    await db.asTenant(A, (manager) => manager.save(Shelf, { id: a.id, neighbours: [{ id: a.id }] }));
    expect(await db.asSuperuser('SELECT c_owner FROM store.x_neighbour')).toEqual([{ c_owner: A }]);
    expect(await db.asSuperuser('SELECT c_owner FROM store.x_shelf')).toHaveLength(2);
    expect(
      await db.asTenant(B, (manager) => manager.find(Shelf, { relations: { neighbours: true } })),
    ).toEqual([{ id: b.id, shopId: B, neighbours: [] }]);
    await expect(
      db.asTenant(B, (manager) => manager.update(Shelf, b.id, { next: { id: a.id } })),
    ).rejects.toThrow(FOREIGN_KEY);
  });
});
