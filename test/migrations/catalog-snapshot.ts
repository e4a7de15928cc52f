import type { TestDatabase } from '../support/database.js';

// An absent access list means the default one, so both are spelled out before they are compared.
const acl = (list: string, kind: string, owner: string) =>
  `ARRAY(SELECT format('%s=%s%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END, privilege_type,
      CASE WHEN is_grantable THEN '*' ELSE '' END) FROM aclexplode(coalesce(${list}, acldefault('${kind}', ${owner}))) ORDER BY 1)`;

const USER_SCHEMAS = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

const PARTS = {
  schemas: `SELECT n.nspname, pg_get_userbyid(nspowner) AS owner, ${acl('nspacl', 'n', 'nspowner')} AS acl
    FROM pg_namespace n WHERE ${USER_SCHEMAS}`,
  relations: `SELECT n.nspname, relname, relkind, relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner) AS owner,
      CASE relkind WHEN 'S' THEN ${acl('relacl', 's', 'relowner')} ELSE ${acl('relacl', 'r', 'relowner')} END AS acl,
      pg_get_expr(relpartbound, c.oid) AS bound
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE ${USER_SCHEMAS} AND relkind NOT IN ('i', 'I')`,
  columns: `SELECT attrelid::regclass::text AS relation, attname, format_type(atttypid, atttypmod) AS type, attnotnull,
      attidentity, attgenerated, attacl::text, pg_get_expr(adbin, adrelid) AS "default"
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE ${USER_SCHEMAS} AND attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p')`,
  policies: `SELECT polrelid::regclass::text AS relation, polname, polcmd, polpermissive, polroles::regrole[]::text AS roles,
      pg_get_expr(polqual, polrelid) AS qual, pg_get_expr(polwithcheck, polrelid) AS "check" FROM pg_policy`,
  constraints: `SELECT conrelid::regclass::text AS relation, conname, convalidated, pg_get_constraintdef(c.oid) AS definition
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace WHERE ${USER_SCHEMAS}`,
  indexes: `SELECT pg_get_indexdef(indexrelid) AS definition, indisvalid, indisready, indislive
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE ${USER_SCHEMAS}`,
  inheritance: `SELECT inhrelid::regclass::text AS child, inhparent::regclass::text AS parent FROM pg_inherits`,
  comments: `SELECT identity, description FROM pg_description,
      pg_identify_object(classoid, objoid, objsubid) WHERE objoid >= 16384`,
  triggers: `SELECT pg_get_triggerdef(oid) AS definition, tgenabled FROM pg_trigger WHERE NOT tgisinternal`,
  defaultPrivileges: `SELECT defaclrole::regrole::text AS role, defaclnamespace::regnamespace::text AS namespace, defaclobjtype,
      defaclacl::text FROM pg_default_acl`,
  database: `SELECT ${acl('datacl', 'd', 'datdba')} AS acl FROM pg_database WHERE datname = current_database()`,
};

/** Every table's rows; of the applied migrations the names only, for their numbers tell how often they were applied. */
const DATA = `SELECT c.oid::regclass::text AS relation, query_to_xml(format('SELECT %s FROM %s AS row ORDER BY row.*::text',
      CASE relname WHEN 'migrations' THEN 'row.name' ELSE 'row.*' END, c.oid::regclass), true, true, '')::text AS rows
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE ${USER_SCHEMAS} AND relkind = 'r'`;

/** One query for all that migrations change in a database, data included; the order of its rows means nothing. */
export const SNAPSHOT_SQL = Object.entries({ ...PARTS, data: DATA })
  .map(([part, sql]) => `SELECT '${part}' AS part, to_jsonb(found) AS found FROM (${sql}) AS found`)
  .join('\nUNION ALL\n');

/** All that migrations and role set-ups change in a database, as text that can be compared. */
export async function catalogSnapshot(db: TestDatabase): Promise<Record<string, string[]>> {
  const snapshot: Record<string, string[]> = {};
  for (const [part, sql] of Object.entries(PARTS)) {
    snapshot[part] = (await db.asSuperuser(sql)).map((row) => JSON.stringify(row)).sort();
  }
  return snapshot;
}
