import {
  ChildEntity,
  Column,
  DataSource,
  Entity,
  Index,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  TableInheritance,
  Unique,
  ViewColumn,
  ViewEntity,
  type RelationOptions,
} from 'typeorm';
import { unconnected } from '../../../../test/entities/support/unconnected.js';
import { RlsConfigurationError } from '../errors.js';
import { isTenantScoped, TenantColumn, tenantColumnOf, TenantScoped, tenantTablesOf } from './index.js';
import type { EntityClass } from './tenant-registry.js';

@Entity()
@TenantScoped()
class Owner {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
}

@Entity()
class Global {
  @PrimaryGeneratedColumn() id!: number;
}

abstract class Base {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
}

/** The message with which the entities are refused. */
async function refusalOf(entities: EntityClass[]): Promise<string> {
  const outcome: unknown = await unconnected(entities).catch((error: unknown) => error);
  return outcome instanceof RlsConfigurationError ? outcome.message : `no refusal: ${String(outcome)}`;
}

describe('a tenant-scoped entity', () => {
  it('inherits its tenant column and its mark from the classes it extends', async () => {
    @TenantScoped()
    abstract class MarkedBase extends Base {}
    @Entity()
    class Concrete extends MarkedBase {}
    @Entity()
    @TenantScoped()
    class Marked extends Base {}

    const dataSource = await unconnected([Concrete, Marked]);
    expect([Concrete, Marked, Base].map(isTenantScoped)).toEqual([true, true, false]);
    expect(tenantTablesOf(dataSource).map(({ entityName }) => entityName)).toEqual(['Concrete', 'Marked']);
    expect(tenantColumnOf(dataSource.getMetadata(Concrete))?.databaseName).toBe('tenant_id');
  });

  it('infers uuid from string and integer from number, and nothing else', async () => {
    @Entity()
    @TenantScoped()
    class Numbered {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn() tenantId!: number;
    }
    expect(tenantTablesOf(await unconnected([Owner]))[0]!.tenantIdType).toBe('uuid');
    expect(tenantTablesOf(await unconnected([Numbered]))[0]!.tenantIdType).toBe('integer');
    expect(() => {
      class Unclear {
        @TenantColumn() tenantId!: string | number;
      }
      return Unclear;
    }).toThrow(/Unclear.tenantId cannot be inferred/);
  });

  it('is refused without a tenant column, naming the entity', async () => {
    @Entity()
    @TenantScoped()
    class Columnless {
      @PrimaryGeneratedColumn() id!: number;
    }
    expect(await refusalOf([Columnless])).toMatch(/"Columnless" has no tenant column/);
  });

  it('is refused with two tenant columns, naming both', async () => {
    @Entity()
    @TenantScoped()
    class Doubled extends Base {
      @TenantColumn({ name: 'other' }) otherId!: string;
    }
    expect(await refusalOf([Doubled])).toMatch(
      /"Doubled" has 2 tenant columns: .*(otherId, tenantId|tenantId, otherId)/,
    );
  });

  it('is refused with an embedded tenant column', async () => {
    class Part {
      @TenantColumn() tenantId!: string;
    }
    @Entity()
    @TenantScoped()
    class Whole {
      @PrimaryGeneratedColumn() id!: number;
      @Column(() => Part) part!: Part;
    }
    expect(await refusalOf([Whole])).toMatch(/"Whole" is inside the embedded "part"/);
  });

  it('is refused as a view', async () => {
    @ViewEntity({ expression: 'SELECT 1 AS id' })
    @TenantScoped()
    class Summary {
      @ViewColumn() id!: number;
    }
    expect(await refusalOf([Summary])).toMatch(/View entity "Summary"/);
  });

  it('is refused as a child of an entity that is not tenant-scoped', async () => {
    @Entity()
    @TableInheritance({ column: { type: 'text', name: 'kind' } })
    class Parent {
      @PrimaryGeneratedColumn() id!: number;
    }
    @ChildEntity()
    @TenantScoped()
    class Child extends Parent {}
    expect(await refusalOf([Parent, Child])).toMatch(
      /"Child" is tenant-scoped and shares its table with "Parent"/,
    );
  });

  it('is refused where a child entity declares the column, which would be nullable', async () => {
    @Entity()
    @TenantScoped()
    @TableInheritance({ column: { type: 'text', name: 'kind' } })
    class Parent {
      @PrimaryGeneratedColumn() id!: number;
    }
    @ChildEntity()
    class Child extends Parent {
      @TenantColumn() tenantId!: string;
    }
    expect(await refusalOf([Parent, Child])).toMatch(/"Parent" is nullable/);
  });

  it('is refused if the column gets another type from the relation that shares it', async () => {
    @Entity()
    @TenantScoped()
    class Owned {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type: 'uuid' }) tenantId!: string;
      @ManyToOne(() => Global) @JoinColumn({ name: 'tenant_id' }) tenant!: Global;
    }
    expect(await refusalOf([Owned, Global])).toMatch(
      /"Owned" is declared as uuid and has the database type integer/,
    );
  });

  it('shares its column with a relation to a table of text keys', async () => {
    @Entity()
    class Company {
      @PrimaryColumn() slug!: string;
    }
    @Entity()
    @TenantScoped()
    class Branch {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type: 'text' }) tenantId!: string;
      @ManyToOne(() => Company) @JoinColumn({ name: 'tenant_id' }) company!: Company;
    }
    const dataSource = await unconnected([Company, Branch]);
    expect(tenantTablesOf(dataSource)).toMatchObject([{ table: 'branch', tenantIdType: 'text' }]);
    expect(dataSource.getMetadata(Branch).foreignKeys.map((key) => key.columnNames)).toEqual([['tenant_id']]);
  });

  it('is refused beside one with tenants of another type or another tenant setting', async () => {
    @Entity()
    @TenantScoped()
    class Counted {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ type: 'bigint' }) tenantId!: string;
    }
    @Entity()
    @TenantScoped()
    class Elsewhere {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn({ tenantSetting: 'app.tenant' }) tenantId!: string;
    }
    expect(await refusalOf([Owner, Counted])).toMatch(/tenantIdType: "Owner" has uuid, "Counted" has bigint/);
    expect(await refusalOf([Owner, Elsewhere])).toMatch(
      /tenantSetting: "Owner" has rls.current_tenant, "Elsewhere" has app.tenant/,
    );
  });

  it('is refused outside PostgreSQL', async () => {
    const dataSource = await unconnected([Owner]);
    const { EntityMetadataBuilder } = await import('typeorm/metadata-builder/EntityMetadataBuilder.js');
    const { getMetadataArgsStorage } = await import('typeorm');
    Object.assign(dataSource, { options: { ...dataSource.options, type: 'cockroachdb' } });
    const builder = new EntityMetadataBuilder(dataSource, getMetadataArgsStorage());
    expect(() => builder.build([Owner])).toThrow(/data source is of type "cockroachdb"/);
  });
});

describe('an entity with a tenant column that is not tenant-scoped', () => {
  it('is refused, because nothing would protect it', async () => {
    @Entity()
    class Forgotten extends Base {}
    expect(await refusalOf([Forgotten])).toMatch(/"Forgotten" has a tenant column and is not tenant-scoped/);
  });
});

describe('foreign keys between tenant-scoped entities', () => {
  function referencing(options: RelationOptions) {
    @Entity()
    @TenantScoped()
    class Referencing {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn() tenantId!: string;
      @ManyToOne(() => Owner, options) owner!: Owner | null;
      @ManyToOne(() => Global, options) global!: Global | null;
    }
    return Referencing;
  }

  it('are composite, and leave the relation as it was declared', async () => {
    const Referencing = referencing({});
    const metadata = (await unconnected([Owner, Global, Referencing])).getMetadata(Referencing);
    expect(
      metadata.foreignKeys.map(({ columnNames, referencedColumnNames }) => [
        columnNames,
        referencedColumnNames,
      ]),
    ).toEqual([
      [
        ['tenant_id', 'ownerId'],
        ['tenant_id', 'id'],
      ],
      [['globalId'], ['id']],
    ]);
    expect(
      metadata.findRelationWithPropertyPath('owner')!.joinColumns.map((column) => column.databaseName),
    ).toEqual(['ownerId']);
  });

  it('are named by the naming strategy, unless the relation names them', async () => {
    @Entity()
    @TenantScoped()
    class Named {
      @PrimaryGeneratedColumn() id!: number;
      @TenantColumn() tenantId!: string;
      @ManyToOne(() => Owner) @JoinColumn({ foreignKeyConstraintName: 'named_owner' }) owner!: Owner;
      @ManyToOne(() => Owner) other!: Owner;
    }
    const dataSource = await unconnected([Owner, Named]);
    const names = dataSource.getMetadata(Named).foreignKeys.map((key) => key.name);
    const other = dataSource.namingStrategy.foreignKeyName('named', ['tenant_id', 'otherId'], 'owner', [
      'tenant_id',
      'id',
    ]);
    expect(names).toEqual(['named_owner', other]);
  });

  it('add one unique constraint to the referenced entity, and none where one of any form is there', async () => {
    @Entity()
    @TenantScoped()
    @Index(['id', 'tenantId'], { unique: true })
    class Indexed extends Base {}
    @Entity()
    @TenantScoped()
    @Unique(['id', 'tenantId'])
    class Constrained extends Base {}
    @Entity()
    @TenantScoped()
    class Uncovered extends Base {}
    @Entity()
    @TenantScoped()
    class Referencing extends Base {
      @ManyToOne(() => Indexed) indexed!: Indexed;
      @ManyToOne(() => Constrained) constrained!: Constrained;
      @ManyToOne(() => Uncovered) one!: Uncovered;
      @ManyToOne(() => Uncovered) two!: Uncovered;
    }
    const dataSource = await unconnected([Indexed, Constrained, Uncovered, Referencing]);
    const uniques = [Indexed, Constrained, Uncovered, Referencing].map((target) =>
      dataSource
        .getMetadata(target)
        .uniques.map((unique) => unique.columns.map((column) => column.databaseName)),
    );
    expect(uniques).toEqual([[], [['id', 'tenant_id']], [['tenant_id', 'id']], []]);
  });

  it.each(['SET NULL', 'DEFAULT'] as const)(
    'are refused with onUpdate %s, which would write the tenant column',
    async (onUpdate) => {
      expect(await refusalOf([Owner, Global, referencing({ onUpdate })])).toMatch(
        /would overwrite the tenant column/,
      );
    },
  );

  it('are refused with onDelete SET NULL before PostgreSQL 15, which cannot name the columns to null', async () => {
    const entities = [Owner, Global, referencing({ onDelete: 'SET NULL' })];
    const before = unconnected(entities, ({ driver }) => (driver.version = '14.13'));
    await expect(before).rejects.toThrow(/before PostgreSQL 15 would null the tenant column/);
    await expect(unconnected(entities, ({ driver }) => (driver.version = '15.2'))).resolves.toBeDefined();
  });

  it("are refused if they take the other row's tenant from another column", async () => {
    @Entity()
    @TenantScoped()
    class Keyed {
      @TenantColumn({ primary: true }) tenantId!: string;
      @PrimaryColumn('integer') id!: number;
    }
    @Entity()
    @TenantScoped()
    class Pointing extends Base {
      @ManyToOne(() => Keyed) keyed!: Keyed;
    }
    expect(await refusalOf([Keyed, Pointing])).toMatch(
      /"Pointing" .* takes the other row's tenant from "keyedTenantId"/,
    );
  });
});

describe('join tables', () => {
  it('get no tenant column between global entities', async () => {
    @Entity()
    class Public {
      @PrimaryGeneratedColumn() id!: number;
      @ManyToMany(() => Global) @JoinTable({ name: 'plain' }) globals!: Global[];
    }
    const dataSource = await unconnected([Owner, Global, Public]);
    expect(dataSource.getMetadata('plain').columns.map((column) => column.databaseName)).toEqual([
      'publicId',
      'globalId',
    ]);
    expect(tenantTablesOf(dataSource).map(({ table }) => table)).toEqual(['owner']);
  });

  it('are protected also where only the inverse side is tenant-scoped', async () => {
    @Entity()
    class Public {
      @PrimaryGeneratedColumn() id!: number;
      @ManyToMany(() => Owner) @JoinTable({ name: 'mixed' }) owners!: Owner[];
    }
    const dataSource = await unconnected([Owner, Public]);
    expect(dataSource.getMetadata('mixed').foreignKeys.map((key) => key.columnNames)).toEqual([
      ['publicId'],
      ['tenant_id', 'ownerId'],
    ]);
    expect(tenantTablesOf(dataSource)).toMatchObject([
      { table: 'owner' },
      { table: 'mixed', entityName: 'Public' },
    ]);
  });

  it('are refused if they have a column of that name already', async () => {
    @Entity()
    @TenantScoped()
    class Clashing extends Base {
      @ManyToMany(() => Owner)
      @JoinTable({ name: 'clash', joinColumn: { name: 'tenant_id' } })
      owners!: Owner[];
    }
    expect(await refusalOf([Owner, Clashing])).toMatch(/"clash" already has a column "tenant_id"/);
  });

  it('are refused if an entity that is not tenant-scoped maps them too', async () => {
    @Entity('twin')
    class Twin {
      @PrimaryColumn() joiningId!: number;
      @PrimaryColumn() ownerId!: number;
    }
    @Entity()
    @TenantScoped()
    class Joining extends Base {
      @ManyToMany(() => Owner) @JoinTable({ name: 'twin' }) owners!: Owner[];
    }
    expect(await refusalOf([Owner, Twin, Joining])).toMatch(/"Twin" maps the join table "twin"/);
  });
});

describe('a data source without tenant-scoped entities', () => {
  it('is left as TypeORM made it', async () => {
    const dataSource = await unconnected([Global]);
    expect(tenantTablesOf(dataSource)).toEqual([]);
    expect(tenantColumnOf(dataSource.getMetadata(Global))).toBeUndefined();
    expect(Object.hasOwn(dataSource.driver, 'findChangedColumns')).toBe(false);
    expect(Object.hasOwn(dataSource.driver, 'createSchemaBuilder')).toBe(false);
  });
});

describe('tenantTablesOf()', () => {
  it('refuses a data source that is not initialized', () => {
    expect(() => tenantTablesOf(new DataSource({ type: 'postgres', entities: [Owner] }))).toThrow(
      /not initialized/,
    );
  });

  it('refuses metadata that was not completed', async () => {
    @Entity()
    class Late {
      @PrimaryGeneratedColumn() id!: number;
    }
    const dataSource = await unconnected([Late]);
    TenantScoped()(Late);
    expect(() => tenantTablesOf(dataSource)).toThrow(/"Late" was not completed/);
  });
});
