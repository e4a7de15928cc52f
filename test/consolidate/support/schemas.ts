import type { TestDatabase } from '../../support/database.js';

/** The tenants of a test, and how many rows each has in the tables of its schema. */
export const TENANTS = Array.from({ length: 12 }, (_, index) => ({
  id: `00000000-0000-4000-8000-${String(index + 1).padStart(12, '0')}`,
  schema: `tenant_00000000_0000_4000_8000_${String(index + 1).padStart(12, '0')}`,
  authors: 3 + index,
  articles: 40 + 7 * index,
}));

export type OldTenant = (typeof TENANTS)[number];

/**
 * The old layout: a schema per tenant with tables, sequences and an enum type of its own. Every schema counts authors and
 * tags from 1; articles answer others of any age; the fifth schema was never given the column `phone`.
 */
export async function createOldSchemas(
  db: TestDatabase,
  tenants: readonly OldTenant[] = TENANTS,
): Promise<void> {
  await db.asSuperuser(tenants.map((tenant) => oldSchemaSql(tenant, db.roles.migrator)).join('\n'));
}

function oldSchemaSql({ id, schema, authors, articles }: OldTenant, reader: string): string {
  const phone = schema !== TENANTS[4]!.schema;
  return `
CREATE SCHEMA ${schema};
SET search_path TO ${schema};
CREATE TYPE article_status AS ENUM ('draft', 'published');
CREATE TABLE author (id serial PRIMARY KEY, email text NOT NULL UNIQUE ${phone ? ', phone text' : ''});
CREATE TABLE tag (id serial PRIMARY KEY, label text NOT NULL);
CREATE TABLE article (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text NOT NULL, status article_status NOT NULL,
  "authorId" int NOT NULL REFERENCES author, "answersId" uuid REFERENCES article);
CREATE TABLE article_tags_tag (
  "articleId" uuid NOT NULL REFERENCES article, "tagId" int NOT NULL REFERENCES tag, PRIMARY KEY ("articleId", "tagId"));
CREATE TABLE invoice (number int PRIMARY KEY, total numeric NOT NULL);
CREATE TABLE audit_log (entry text);
INSERT INTO author (email ${phone ? ', phone' : ''})
  SELECT 'author' || n || '@example.com' ${phone ? ", nullif('+' || n, '+2')" : ''} FROM generate_series(1, ${authors}) AS n;
INSERT INTO tag (label) SELECT 'tag ' || n || ' of ${id}' FROM generate_series(1, 5) AS n;
INSERT INTO article (title, status, "authorId")
  SELECT 'article ' || n || ' of ${id}', (ARRAY['draft', 'published'])[1 + n % 2]::article_status, 1 + n % ${authors}
  FROM generate_series(1, ${articles}) AS n;
UPDATE article SET "answersId" = (SELECT other.id FROM article AS other WHERE other.title <> article.title ORDER BY md5(other.title || article.title) LIMIT 1)
  WHERE length(title) % 3 > 0 OR title LIKE '%1%';
INSERT INTO article_tags_tag SELECT article.id, tag.id FROM article, tag WHERE (length(title) + tag.id) % 4 = 0;
INSERT INTO invoice SELECT n, n * 10.50 FROM generate_series(1, 4) AS n;
RESET search_path;
GRANT USAGE ON SCHEMA ${schema} TO ${reader};
GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${reader};`;
}

/** Everything that a tenant has, without the keys that may change: read where the search path points. */
export const CONTENTS = `SELECT json_build_object(
  'authors', (SELECT json_agg(email || coalesce(phone, '-') ORDER BY email) FROM author),
  'tags', (SELECT json_agg(label ORDER BY label) FROM tag),
  'articles', (SELECT json_agg(json_build_array(a.id, a.title, a.status, author.email, a."answersId") ORDER BY a.id)
    FROM article a JOIN author ON author.id = a."authorId"),
  'links', (SELECT json_agg(json_build_array("articleId", label) ORDER BY "articleId", label)
    FROM article_tags_tag JOIN tag ON tag.id = "tagId"),
  'invoices', (SELECT json_agg(json_build_array(number, total) ORDER BY number) FROM invoice)) AS contents`;
