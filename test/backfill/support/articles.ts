import { Column, DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm';
import {
  Backfill,
  backfillProgressTable,
  type BackfillDefinition,
  type BackfillOptions,
} from '../../../libs/rls-tenants/src/backfill/index.js';
import { TenantColumn, TenantScoped } from '../../../libs/rls-tenants/src/entities/index.js';
import { tenant } from '../../support/notes.js';
import { createProtectedDatabase, type ProtectedDatabase } from '../../support/protected-database.js';

/** What the backfills change. `hits` counts how often a row was changed. */
@Entity()
@TenantScoped()
export class Article {
  @PrimaryGeneratedColumn() id!: number;
  @TenantColumn() tenantId!: string;
  @Column({ type: 'text' }) title!: string;
  @Column({ type: 'text', nullable: true }) slug!: string | null;
  @Column({ type: 'int', default: 0 }) hits!: number;
}

/** Fills `slug` and counts; it has no WHERE of its own. */
export const FILL_SLUGS = {
  name: 'fill-slugs',
  table: 'article',
  set: { slug: 'lower(title) || $1', hits: 'hits + 1' },
  parameters: ['!'],
  batchSize: 10,
} satisfies BackfillDefinition;

/** A protected database with the progress table. */
export async function createArticleDatabase(): Promise<ProtectedDatabase> {
  const db = await createProtectedDatabase([Article]);
  const migrator = await new DataSource({ type: 'postgres', url: db.url('migrator') }).initialize();
  const progress = backfillProgressTable({
    tenantIdType: 'uuid',
    appRole: db.roles.app,
    adminRole: db.roles.admin,
  });
  await progress.up(migrator.createQueryRunner());
  await migrator.destroy();
  return db;
}

/** Replaces all articles by `rows` for each of `tenants`, as superuser; tenants take turns, so that keys interleave. */
export async function fillArticles(db: ProtectedDatabase, tenants: number, rows: number): Promise<void> {
  await db.asSuperuser(
    `TRUNCATE article, rls_backfill_progress RESTART IDENTITY;
     INSERT INTO article (tenant_id, title)
     SELECT ('00000000-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'Title ' || r
     FROM generate_series(1, ${rows}) AS r, generate_series(1, ${tenants}) AS t ORDER BY r, t;
     ANALYZE article`,
  );
}

/** How many rows were changed how often, over all tenants, as superuser. */
export async function hits(db: ProtectedDatabase): Promise<Record<string, number>> {
  const rows = await db.asSuperuser<{ hits: number; count: number }>(
    'SELECT hits, count(*)::int AS count FROM article GROUP BY hits ORDER BY hits',
  );
  return Object.fromEntries(rows.map(({ hits: times, count }) => [times, count]));
}

/** A logger that remembers. */
export function memoryLogger() {
  const lines: string[] = [];
  return {
    lines,
    log: (text: string) => void lines.push(`log ${text}`),
    warn: (text: string) => void lines.push(`warn ${text}`),
  };
}

/** A backfill of the app role that logs nothing unless told to. */
export async function backfillOf(
  db: ProtectedDatabase,
  definitions: readonly BackfillDefinition[],
  options: BackfillOptions = { logger: memoryLogger() },
): Promise<Backfill> {
  return new Backfill(await db.isolated(), definitions, options);
}

export { tenant };
