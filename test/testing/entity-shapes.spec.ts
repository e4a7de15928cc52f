import {
  ChildEntity,
  Column,
  Entity,
  JoinColumn,
  ManyToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  TableInheritance,
  Tree,
  TreeChildren,
  TreeParent,
} from 'typeorm';
import { TenantColumn, TenantScoped } from '../../libs/rls-tenants/src/entities/index.js';
import {
  expectIsolated,
  tenantScopedEntities,
  type TestDatabase,
} from '../../libs/rls-tenants/src/testing/index.js';
import { kitDatabase } from './support/kit-database.js';

/** The README's first example. */
@Entity()
@TenantScoped()
class Task {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
  @Column() title!: string;
}

class Address {
  @Column({ type: 'text' }) street!: string;
  @Column({ type: 'char', length: 2 }) country!: string;
}

@Entity()
@TenantScoped()
class Person {
  @PrimaryColumn('uuid') id!: string;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text', select: false }) secret!: string;
  @Column({ type: 'text', update: false }) born!: string;
  @Column(() => Address) address!: Address;
  @Column({ type: 'simple-array' }) nicknames!: string[];
  @Column({ type: 'int', array: true }) numbers!: number[];
  @Column({
    type: 'bigint',
    transformer: { to: (n: bigint) => n?.toString(), from: (t: string) => BigInt(t) },
  })
  big!: bigint;
  @Column({ type: 'date' }) day!: string;
  @Column({ type: 'bytea' }) photo!: Buffer;
  @Column({ type: 'smallint' }) small!: number;
  @Column({ type: 'numeric', precision: 3, scale: 2 }) rate!: string;
  @Column({ type: 'text', generatedType: 'STORED', asExpression: `born || 'x'` }) derived!: string;
}

/** No column but those of keys, and a primary key that is a relation. */
@Entity()
@TenantScoped()
class PersonDetail {
  @PrimaryColumn('uuid') personId!: string;
  @ManyToOne(() => Person) @JoinColumn({ name: 'personId' }) person!: Person;
  @TenantColumn() tenantId!: string;
}

@Entity()
@TenantScoped()
@TableInheritance({ column: { type: 'text', name: 'kind' } })
abstract class Animal {
  @PrimaryGeneratedColumn('identity', { generatedIdentity: 'ALWAYS' }) id!: number;
  @TenantColumn() tenantId!: string;
}

@ChildEntity()
class Dog extends Animal {
  @Column({ type: 'text' }) barks!: string;
}

@Entity()
@TenantScoped()
@Tree('closure-table')
class Department {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @TreeParent() parent!: Department | null;
  @TreeChildren() children!: Department[];
}

@Entity({ schema: 'Sales Dept', name: 'Lead' })
@TenantScoped()
class Lead {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn({ name: 'Tenant' }) tenantId!: string;
  @Column({ type: 'text', name: 'Full Name' }) name!: string;
}

const BIG = {
  to: (value: bigint | undefined) => value?.toString(),
  from: (text: string) => BigInt(text),
};

/** Numbers that JavaScript would round. */
@Entity()
@TenantScoped()
class Account {
  @PrimaryColumn({ type: 'bigint', transformer: BIG }) number!: bigint;
  @TenantColumn() tenantId!: string;
  @ManyToOne(() => Account) parent!: Account | null;
}

@Entity()
@TenantScoped()
class Place {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'point' }) at!: string;
}

describe('expectIsolated()', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    const entities = [Task, Person, PersonDetail, Animal, Dog, Department, Lead, Account, Place];
    database = await kitDatabase(entities);
  });
  afterAll(() => database?.destroy());

  it.each([Task, Person, PersonDetail, Dog, Department, Lead])('fills and passes %p', async (entity) => {
    expect(await expectIsolated(entity as new () => object, database)).toEqual(
      expect.arrayContaining([
        'reads the row with raw SQL',
        'moves an own row to the other tenant with raw SQL',
      ]),
    );
  });

  it('attacks self-references', async () => {
    expect(await expectIsolated(Department, database)).toContain(
      'refers to a row of the other tenant through "parent"',
    );
  });

  it('does not round numbers', async () => {
    let number = 2n ** 62n;
    const attacks = await expectIsolated(Account, { ...database, make: () => ({ number: ++number }) });
    expect(attacks).toEqual(
      expect.arrayContaining([
        'reads the row with find()',
        'overwrites the row with INSERT … ON CONFLICT (number) DO UPDATE',
      ]),
    );
  });

  it('asks for a value of a type that it does not know', async () => {
    await expect(expectIsolated(Place, database)).rejects.toThrow(
      /no value is known for column "at" of "Place", which has type "point".\n.*make:/,
    );
    expect(await expectIsolated(Place, { ...database, make: () => ({ at: '(1,2)' }) })).not.toEqual([]);
  });

  it('lists children of single-table inheritance as entities of their own', () => {
    expect(tenantScopedEntities(database.dataSource)).toContain(Dog);
  });
});
