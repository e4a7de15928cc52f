import {
  Column,
  CreateDateColumn,
  Entity,
  ManyToOne,
  PrimaryGeneratedColumn,
  UpdateDateColumn,
} from 'typeorm';

/** Without the library (every query names the tenant), or with it. Each has a schema of this name. */
export type Isolation = 'plain' | 'rls';

/** What both applications' tasks have in common: eleven columns with the tenant's. */
export abstract class Task {
  @PrimaryGeneratedColumn('uuid') id!: string;
  abstract tenantId: string;
  @Column('text') title!: string;
  @Column('text') body!: string;
  @Column('text') status!: string;
  @Column('integer') priority!: number;
  @Column('text', { nullable: true }) assignee!: string | null;
  @Column({ default: false }) done!: boolean;
  @Column('timestamptz', { name: 'due_at', nullable: true }) dueAt!: Date | null;
  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' }) createdAt!: Date;
  @UpdateDateColumn({ name: 'updated_at', type: 'timestamptz' }) updatedAt!: Date;
}

export type EntityClass = new () => object;

/**
 * The entities of one application. Each kind has a module of its own, because whoever loads the library loads
 * nestjs-cls, which turns on the promise hooks of Node.js: the application without it must not pay for them.
 */
export interface EntityKind {
  isolation: Isolation;
  task: EntityClass;
  /** Gives a generated entity its tenant column. */
  addTenant(entity: EntityClass): void;
}

export async function entityKind(isolation: Isolation): Promise<EntityKind> {
  return isolation === 'rls'
    ? (await import('./rls-entities.js')).RLS_ENTITIES
    : (await import('./plain-entities.js')).PLAIN_ENTITIES;
}

/** So many entities: the task, and others that only have to be there. Every second of them has a relation. */
export function entitiesOf(kind: EntityKind, count: number): EntityClass[] {
  const classes: EntityClass[] = [kind.task];
  for (let index = 1; index < count; index++) {
    classes.push(makeEntity(kind, `entity_${index}`, index % 2 === 1 ? classes.at(-1) : undefined));
  }
  return classes;
}

function makeEntity(
  { isolation, addTenant }: EntityKind,
  name: string,
  previous: EntityClass | undefined,
): EntityClass {
  const made = class {
    declare id: string;
  };
  Object.defineProperty(made, 'name', { value: `${isolation}_${name}` });
  const { prototype } = made;
  Entity({ name, schema: isolation })(made);
  PrimaryGeneratedColumn('uuid')(prototype, 'id');
  Column('text')(prototype, 'name');
  addTenant(made);
  if (previous) ManyToOne(() => previous)(prototype, 'previous');
  return made;
}
