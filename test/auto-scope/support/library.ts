import {
  ChildEntity,
  Column,
  DeleteDateColumn,
  Entity,
  JoinTable,
  ManyToMany,
  ManyToOne,
  OneToMany,
  OneToOne,
  JoinColumn,
  PrimaryGeneratedColumn,
  TableInheritance,
  Tree,
  TreeChildren,
  TreeParent,
  type DataSource,
} from 'typeorm';
import { tenantContext } from '../../../libs/rls-tenants/src/context/tenant-context.js';
import { TenantColumn, TenantScoped } from '../../../libs/rls-tenants/src/entities/index.js';
import { A, B } from '../../support/notes.js';

/** The tenants of these suites are libraries: shelves hold books, books have authors, a blurb and a language. */
@Entity()
@TenantScoped()
export class Shelf {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
  @DeleteDateColumn() deletedAt!: Date | null;
  @OneToMany(() => Book, (book) => book.shelf) books!: Book[];
}

@Entity()
@TenantScoped()
export class Book {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) title!: string;
  @Column({ type: 'int', default: 0 }) loans!: number;
  @DeleteDateColumn() deletedAt!: Date | null;
  @ManyToOne(() => Shelf, (shelf) => shelf.books, { nullable: true }) shelf!: Shelf | null;
  @Column({ type: 'int', nullable: true }) shelfId!: number | null;
  @ManyToMany(() => Author, (author) => author.books) @JoinTable() authors!: Author[];
  @OneToOne(() => Blurb, (blurb) => blurb.book) blurb!: Blurb | null;
  @ManyToOne(() => Language, { nullable: true }) language!: Language | null;
  @ManyToOne(() => Book, (book) => book.lazySequels, { nullable: true, lazy: true })
  lazyPrequel!: Promise<Book | null>;
  @OneToMany(() => Book, (book) => book.lazyPrequel, { lazy: true }) lazySequels!: Promise<Book[]>;
  @ManyToMany(() => Author, (author) => author.lazyTranslations, { lazy: true })
  @JoinTable({ name: 'translation' })
  lazyTranslators!: Promise<Author[]>;
}

@Entity()
@TenantScoped()
export class Author {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
  @ManyToMany(() => Book, (book) => book.authors) books!: Book[];
  @ManyToMany(() => Book, (book) => book.lazyTranslators, { lazy: true }) lazyTranslations!: Promise<Book[]>;
}

@Entity()
@TenantScoped()
export class Blurb {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) text!: string;
  @OneToOne(() => Book, (book) => book.blurb) @JoinColumn() book!: Book;
}

/** A global table. */
@Entity()
export class Language {
  @PrimaryGeneratedColumn() id!: number;
  @Column({ type: 'text' }) code!: string;
}

/** A table that two classes share. */
@Entity()
@TenantScoped()
@TableInheritance({ column: { type: 'text', name: 'kind' } })
export class Reader {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
}

@ChildEntity()
export class Student extends Reader {
  @Column({ type: 'text', nullable: true }) school!: string | null;
}

export const LIBRARY = [Shelf, Book, Author, Blurb, Language, Reader, Student];

/** One tree for each of the ways in which TypeORM keeps one. */
@Entity()
@TenantScoped()
@Tree('closure-table')
export class ClosureSubject {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
  @TreeChildren() children!: ClosureSubject[];
  @TreeParent() parent!: ClosureSubject | null;
}

@Entity()
@TenantScoped()
@Tree('materialized-path')
export class PathSubject {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
  @TreeChildren() children!: PathSubject[];
  @TreeParent() parent!: PathSubject | null;
}

@Entity()
@TenantScoped()
@Tree('nested-set')
export class NestedSubject {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) name!: string;
  @TreeChildren() children!: NestedSubject[];
  @TreeParent() parent!: NestedSubject | null;
}

export const TREES = [ClosureSubject, PathSubject, NestedSubject];

/**
 * Fills the library of tenants A and B alike: four books, three of them on two shelves, one on none; every row's text
 * begins with its tenant's letter.
 */
export async function fillLibraries(dataSource: DataSource): Promise<void> {
  await dataSource.query(`INSERT INTO language (code) VALUES ('en')`);
  for (const [tenantId, letter] of [
    [A, 'a'],
    [B, 'b'],
  ] as const) {
    await tenantContext(tenantId, async () => {
      const { manager } = dataSource;
      const shelves = await manager.save(Shelf, [{ name: `${letter} high` }, { name: `${letter} low` }]);
      const authors = await manager.save(Author, [{ name: `${letter} Woolf` }, { name: `${letter} Eco` }]);
      const books = await manager.save(Book, [
        { title: `${letter}1`, shelf: shelves[0]!, authors, language: { id: 1 } },
        { title: `${letter}2`, shelf: shelves[0]!, authors: [authors[0]!] },
        { title: `${letter}3`, shelf: shelves[1]! },
        { title: `${letter}4` },
      ]);
      await manager.save(Student, { name: `${letter} Ann`, school: 'high' });
      await manager.save(Reader, { name: `${letter} Bob` });
      await manager.save(Blurb, { text: `${letter} good`, book: books[0]! });
      const second = await manager.findOneByOrFail(Book, { title: `${letter}2` });
      second.lazyPrequel = Promise.resolve(books[0]!);
      second.lazyTranslators = Promise.resolve([authors[1]!]);
      await manager.save(second);
    });
  }
}
