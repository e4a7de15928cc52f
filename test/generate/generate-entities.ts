import {
  Column,
  Entity,
  Index,
  JoinColumn,
  JoinTable,
  ManyToMany,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  Unique,
  type ColumnOptions,
  type DataSourceOptions,
} from 'typeorm';
import { TenantColumn, TenantScoped, type JoinTableForm } from '../../libs/rls-tenants/src/entities/index.js';

export type Entities = NonNullable<DataSourceOptions['entities']>;

export const A = '00000000-0000-4000-8000-00000000000a';
export const B = '00000000-0000-4000-8000-00000000000b';

/** How far the entities have come. */
export interface Stage {
  /** Whether they are marked: by default they are. `'column'`: they have the column, and nothing marks it. */
  tenants?: 'scoped' | 'column' | 'none';
  titleType?: 'varchar(50)' | 'varchar(200)' | 'int';
}

/**
 * A product as it is written: workspaces are the tenants; documents lie in folders, which lie in folders, and carry labels
 * (many-to-many); members read or write; a country is everybody's.
 */
export function libraryEntities({ tenants = 'scoped', titleType = 'varchar(50)' }: Stage = {}): Entities {
  const nothing = () => undefined;
  const Scoped = (): ClassDecorator => (tenants === 'scoped' ? TenantScoped() : nothing);
  const Tenant = (): PropertyDecorator => {
    if (tenants === 'scoped') return TenantColumn();
    return tenants === 'column' ? Column('uuid', { name: 'tenant_id' }) : nothing;
  };
  const ofTenants = (decorator: ClassDecorator): ClassDecorator => (tenants === 'none' ? nothing : decorator);
  const itsTenant = (decorator: PropertyDecorator): PropertyDecorator =>
    tenants === 'none' ? nothing : decorator;

  const titleColumn: ColumnOptions =
    titleType === 'int' ? { type: 'int' } : { type: 'varchar', length: /\d+/.exec(titleType)![0] };

  abstract class TenantOwned {
    @PrimaryGeneratedColumn('uuid') id!: string;
    @Tenant() tenantId!: string;
  }

  @Entity('workspace')
  class Workspace {
    @PrimaryColumn('uuid') id!: string;
  }

  @Entity('country')
  class Country {
    @PrimaryColumn('text') code!: string;
  }

  @Entity('member')
  @Scoped()
  @ofTenants(Unique(['tenantId', 'email']))
  class Member extends TenantOwned {
    @Column('varchar', { length: 100 }) email!: string;
    @Column('enum', { enum: ['reader', 'writer'], default: 'reader' }) role!: string;
    @itsTenant(ManyToOne(() => Workspace, { onDelete: 'CASCADE' }))
    @itsTenant(JoinColumn({ name: 'tenant_id' }))
    workspace!: Workspace;
  }

  @Entity('folder')
  @Scoped()
  class Folder extends TenantOwned {
    @Column('text') name!: string;
    @ManyToOne(() => Folder, { onDelete: 'CASCADE', nullable: true }) parent!: Folder | null;
    @OneToMany(() => Document, (document) => document.folder) documents!: Document[];
  }

  @Entity('label')
  @Scoped()
  @ofTenants(Unique(['tenantId', 'name']))
  class Label extends TenantOwned {
    @Column('text') name!: string;
  }

  @Entity('document')
  @Scoped()
  @ofTenants(Index(['tenantId', 'title']))
  class Document extends TenantOwned {
    @Column(titleColumn)
    title!: string;
    @Column('int', { default: 0 }) pages!: number;
    @ManyToOne(() => Folder, (folder) => folder.documents, { onDelete: 'CASCADE' }) folder!: Folder;
    @ManyToOne(() => Member) @JoinColumn({ name: 'reviewer_id' }) reviewer!: Member | null;
    @ManyToMany(() => Label) @JoinTable() labels!: Label[];
    @ManyToMany(() => Country) @JoinTable() countries!: Country[];
  }

  return [Workspace, Country, Member, Folder, Label, Document];
}

/** Two tenants' rows, of tables that have a tenant column or not; their links have none to name. */
export function rowsSql({ tenantColumn }: { tenantColumn: boolean }): string {
  const tenants = [
    { tenant: A, digit: 'a' },
    { tenant: B, digit: 'b' },
  ];
  const id = (kind: number, digit: string) => `'${kind}0000000-0000-4000-8000-00000000000${digit}'`;
  return tenants
    .map(({ tenant, digit }) => {
      const [column, value] = tenantColumn ? [', tenant_id', `, '${tenant}'`] : ['', ''];
      return `
        SET rls.current_tenant = '${tenant}';
        INSERT INTO workspace (id) VALUES ('${tenant}');
        INSERT INTO member (id, email${column}) VALUES (${id(1, digit)}, '${digit}@example.com'${value});
        INSERT INTO folder (id, name${column}) VALUES (${id(2, digit)}, 'folder ${digit}'${value});
        INSERT INTO label (id, name${column}) VALUES (${id(3, digit)}, 'urgent'${value});
        INSERT INTO document (id, title, "folderId", reviewer_id${column})
          VALUES (${id(4, digit)}, 'document ${digit}', ${id(2, digit)}, ${id(1, digit)}${value});
        INSERT INTO document_labels_label ("documentId", "labelId") VALUES (${id(4, digit)}, ${id(3, digit)});`;
    })
    .join('');
}

/** Notes with tags, for what is not about how much there is. */
export function ownedEntities({ schema, joinTables }: { schema?: string; joinTables?: JoinTableForm } = {}) {
  const place = schema === undefined ? {} : { schema };
  const form = joinTables === undefined ? {} : { joinTables };

  @Entity('tag', place)
  @TenantScoped(form)
  class Tag {
    @PrimaryGeneratedColumn('uuid') id!: string;
    @TenantColumn() tenantId!: string;
    @Column('text') name!: string;
  }

  @Entity('note', place)
  @TenantScoped(form)
  class Note {
    @PrimaryGeneratedColumn('uuid') id!: string;
    @TenantColumn() tenantId!: string;
    @ManyToMany(() => Tag) @JoinTable() tags!: Tag[];
  }

  return { Tag, Note };
}
