// The statements of readDatabaseCatalog(), under the search path of catalog.sql.ts: names mean pg_catalog's. Each reads
// the whole audited scope at once. Fragments are constants; what differs between versions of PostgreSQL is chosen by
// its number.

/** An ACL as JSON. `null` for the grantee stands for PUBLIC. */
export const grants = (acl: string) => `
  (SELECT coalesce(json_agg(json_build_object('privilege', a.privilege_type, 'grantable', a.is_grantable,
            'grantee', CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END)
            ORDER BY a.privilege_type, a.grantee), '[]')
     FROM aclexplode(${acl}) AS a)`;

/** The extension that an object belongs to. */
const extension = (catalog: string, oid: string) => `
  (SELECT e.extname::text FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e'
      AND d.refclassid = 'pg_extension'::regclass LIMIT 1)`;

/** What a rule, view or policy refers to, of one catalog, as oids. */
const refersTo = (classid: string, objid: string, catalog: string, other: string) => `
  ARRAY(SELECT DISTINCT d.refobjid::text FROM pg_depend d
         WHERE d.classid = '${classid}'::regclass AND d.objid = ${objid} AND d.refclassid = '${catalog}'::regclass AND ${other}
         ORDER BY 1)`;

/** $1 schema names (null: all but the system's and extensions'), $2 the audited role. */
export const SCHEMAS_SQL = `
  SELECT n.oid::text AS oid, n.nspname::text AS name, pg_get_userbyid(n.nspowner)::text AS owner,
         has_schema_privilege($2::oid, n.oid, 'USAGE') AS "appUsage",
         has_schema_privilege($2::oid, n.oid, 'CREATE') AS "appCreate",
         ${grants(`coalesce(n.nspacl, acldefault('n', n.nspowner))`)} AS grants
    FROM pg_namespace n
   WHERE CASE WHEN $1::text[] IS NULL
              THEN n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND ${extension('pg_namespace', 'n.oid')} IS NULL
              ELSE n.nspname::text = ANY ($1::text[]) END
   ORDER BY n.nspname`;

/** $1 schema oids, $2 oids of relations wanted in any case, $3 the audited role, $4 the words of table privileges. */
export const RELATIONS_SQL = `
  SELECT c.oid::text AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
         pg_get_userbyid(c.relowner)::text AS owner, pg_get_userbyid(n.nspowner)::text AS "schemaOwner",
         c.relrowsecurity AS "rlsEnabled", c.relforcerowsecurity AS "rlsForced",
         c.relpersistence::text AS persistence, c.relispartition AS "isPartition",
         CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS "partitionKey",
         pg_get_expr(c.relpartbound, c.oid) AS "partitionBound",
         ARRAY(SELECT i.inhparent::text FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents,
         coalesce(c.reloptions, '{}') AS options, ${extension('pg_class', 'c.oid')} AS extension,
         c.reltuples::float8 AS "rowEstimate", coalesce(pg_stat_get_numscans(c.oid), 0)::float8 AS "seqScans",
         coalesce(pg_stat_get_tuples_returned(c.oid), 0)::float8 AS "seqRows",
         ARRAY(SELECT word FROM unnest($4::text[]) AS word
                WHERE CASE WHEN word IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                           THEN has_any_column_privilege($3::oid, c.oid, word)
                           ELSE has_table_privilege($3::oid, c.oid, word) END) AS "appPrivileges"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE (c.relnamespace = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')) OR c.oid = ANY ($2::oid[])
   ORDER BY n.nspname, c.relname`;

/** $1 relation oids. Key columns only; `leakproof`: whether every search operator of the key's class is. */
export const INDEXES_SQL = `
  WITH opclass AS MATERIALIZED (
    SELECT o.oid, o.opcname::text AS name, coalesce(bool_and(p.proleakproof), false) AS leakproof,
           coalesce(bool_and(p.proleakproof) FILTER (
             WHERE s.amopstrategy = CASE am.amname WHEN 'btree' THEN 3 WHEN 'hash' THEN 1 END
               AND s.amoprighttype = o.opcintype), false) AS equality_leakproof
      FROM pg_opclass o JOIN pg_am am ON am.oid = o.opcmethod
      LEFT JOIN pg_amop s ON s.amopfamily = o.opcfamily AND s.amoplefttype = o.opcintype AND s.amoppurpose = 's'
      LEFT JOIN pg_operator op ON op.oid = s.amopopr
      LEFT JOIN pg_proc p ON p.oid = op.oprcode
     GROUP BY o.oid, o.opcname)
  SELECT i.indexrelid::text AS oid, i.indrelid::text AS table, c.relname::text AS name, am.amname::text AS method,
         i.indisunique AS unique, i.indisprimary AS primary, i.indisexclusion AS exclusion, i.indisvalid AS valid,
         c.relkind = 'I' AS partitioned, c.relispartition AS "isPartition",
         pg_get_expr(i.indpred, i.indrelid) AS predicate, pg_get_indexdef(i.indexrelid) AS definition,
         coalesce(pg_stat_get_numscans(i.indexrelid), 0)::float8 AS scans,
         (SELECT json_agg(json_build_object(
                   'column', a.attname,
                   'expression', CASE WHEN key.attnum = 0 THEN pg_get_indexdef(i.indexrelid, key.n::int4, true) END,
                   'operatorClass', o.name, 'leakproof', o.leakproof, 'equalityLeakproof', o.equality_leakproof) ORDER BY key.n)
            FROM unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY AS key(attnum, opclass, n)
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.attnum
            LEFT JOIN opclass o ON o.oid = key.opclass
           WHERE key.n <= i.indnkeyatts) AS keys
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
   WHERE i.indrelid = ANY ($1::oid[])
   ORDER BY i.indrelid, c.relname`;

const columnNames = (table: string, keys: string) => `
  ARRAY(SELECT a.attname::text FROM unnest(${keys}) WITH ORDINALITY AS key(attnum, n)
          JOIN pg_attribute a ON a.attrelid = ${table} AND a.attnum = key.attnum ORDER BY key.n)`;

/** $1 relation oids. `deleteSetColumns` is null where ON DELETE SET acts on every column; lists of them are PostgreSQL 15. */
export const constraintsSql = (versionNumber: number) => `
  SELECT k.oid::text AS oid, k.conrelid::text AS table, k.conname::text AS name, k.contype::text AS type,
         ${columnNames('k.conrelid', 'k.conkey')} AS columns,
         nullif(k.confrelid, 0)::text AS "referencedTable", ${columnNames('k.confrelid', 'k.confkey')} AS "referencedColumns",
         nullif(k.confdeltype::text, ' ') AS "onDelete", nullif(k.confupdtype::text, ' ') AS "onUpdate",
         nullif(k.confmatchtype::text, ' ') AS match,
         ${versionNumber >= 150000 ? `CASE WHEN k.confdelsetcols IS NOT NULL THEN ${columnNames('k.conrelid', 'k.confdelsetcols')} END` : 'NULL::text[]'} AS "deleteSetColumns",
         k.convalidated AS validated, k.conparentid <> 0 AS inherited, nullif(k.conindid, 0)::text AS index,
         pg_get_constraintdef(k.oid) AS definition
    FROM pg_constraint k
   WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('c', 'f', 'p', 'u', 'x')
   ORDER BY k.conrelid, k.conname`;

/** $1 relation oids. Not the internal ones of constraints. */
export const TRIGGERS_SQL = `
  SELECT t.tgrelid::text AS table, t.tgname::text AS name, t.tgfoid::text AS function, t.tgenabled::text AS enabled,
         t.tgparentid <> 0 AS inherited, pg_get_triggerdef(t.oid) AS definition
    FROM pg_trigger t
   WHERE t.tgrelid = ANY ($1::oid[]) AND NOT t.tgisinternal
   ORDER BY t.tgrelid, t.tgname`;

/**
 * $1 schema oids, $2 relation oids, $3 the audited role. Functions of the schemas, and from anywhere those that
 * policies, triggers and event triggers call and those of dblink. The bodies of compiled languages and of extensions say nothing.
 */
export const FUNCTIONS_SQL = `
  SELECT p.oid::text AS oid, n.nspname::text AS schema, p.proname::text AS name,
         pg_get_function_identity_arguments(p.oid) AS arguments, p.prokind::text AS kind,
         pg_get_function_result(p.oid) AS result, pg_get_userbyid(p.proowner)::text AS owner,
         l.lanname::text AS language, p.prosecdef AS "securityDefiner", p.proleakproof AS leakproof,
         p.provolatile::text AS volatility, p.proparallel::text AS parallel, coalesce(p.proconfig, '{}') AS config,
         p.prosqlbody IS NOT NULL AS "boundBody", origin.extension,
         CASE WHEN l.lanname IN ('c', 'internal') OR origin.extension IS NOT NULL THEN NULL
              ELSE coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) END AS body,
         has_function_privilege($3::oid, p.oid, 'EXECUTE') AS "appMayExecute",
         ${grants(`coalesce(p.proacl, acldefault('f', p.proowner))`)} AS grants
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
   CROSS JOIN LATERAL (SELECT ${extension('pg_proc', 'p.oid')} AS extension) AS origin
   WHERE p.pronamespace = ANY ($1::oid[])
      OR p.oid IN (SELECT d.refobjid FROM pg_depend d JOIN pg_policy o ON o.oid = d.objid
                    WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_proc'::regclass AND o.polrelid = ANY ($2::oid[]))
      OR p.oid IN (SELECT t.tgfoid FROM pg_trigger t WHERE t.tgrelid = ANY ($2::oid[]) AND NOT t.tgisinternal)
      OR p.oid IN (SELECT e.evtfoid FROM pg_event_trigger e)
      OR p.oid IN (SELECT d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                    WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'dblink')
   ORDER BY n.nspname, p.proname, p.oid`;

/** $1 relation oids. The query of a view is the rule \`_RETURN\`. A rule's relations include those it writes. */
export const REWRITES_SQL = `
  SELECT r.ev_class::text AS relation, r.rulename::text AS name, r.rulename = '_RETURN' AS "isView",
         CASE r.ev_type WHEN '1' THEN 'SELECT' WHEN '2' THEN 'UPDATE' WHEN '3' THEN 'INSERT' ELSE 'DELETE' END AS event,
         r.ev_enabled::text AS enabled,
         CASE WHEN r.rulename = '_RETURN' THEN pg_get_viewdef(r.ev_class) ELSE pg_get_ruledef(r.oid) END AS definition,
         ${refersTo('pg_rewrite', 'r.oid', 'pg_class', 'd.refobjid <> r.ev_class')} AS relations,
         ${refersTo('pg_rewrite', 'r.oid', 'pg_proc', 'true')} AS functions
    FROM pg_rewrite r
   WHERE r.ev_class = ANY ($1::oid[])
   ORDER BY r.ev_class, r.rulename`;

/** $1 relation oids. What lives in pg_catalog is pinned and leaves no dependency: these are other people's objects. */
export const POLICY_DEPENDENCIES_SQL = `
  SELECT p.polrelid::text AS table, p.polname::text AS name,
         ${refersTo('pg_policy', 'p.oid', 'pg_class', 'd.refobjid <> p.polrelid')} AS relations,
         ${refersTo('pg_policy', 'p.oid', 'pg_proc', 'true')} AS functions,
         ${refersTo('pg_policy', 'p.oid', 'pg_operator', 'true')} AS operators,
         ${refersTo('pg_policy', 'p.oid', 'pg_type', 'true')} AS types
    FROM pg_policy p
   WHERE p.polrelid = ANY ($1::oid[])`;

/** $1 relation oids, $2 the audited role. `ownedBy`: the column that a serial or identity sequence belongs to; `defaultOf`: the columns whose default calls it. */
export const SEQUENCES_SQL = `
  SELECT c.oid::text AS oid, owned.relation AS "ownedByTable", owned.column AS "ownedByColumn",
         (SELECT coalesce(json_agg(json_build_object('table', f.adrelid::text, 'column', a.attname) ORDER BY f.adrelid, f.adnum), '[]')
            FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
           WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) AS "defaultOf",
         has_sequence_privilege($2::oid, c.oid, 'SELECT') AS "appSelect",
         has_sequence_privilege($2::oid, c.oid, 'USAGE') AS "appUsage",
         has_sequence_privilege($2::oid, c.oid, 'UPDATE') AS "appUpdate"
    FROM pg_class c
    LEFT JOIN LATERAL (
         SELECT d.refobjid::text AS relation, a.attname::text AS column
           FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
            AND d.deptype IN ('a', 'i') LIMIT 1) AS owned ON true
   WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'S'`;

/** Without grants to the owner itself, which add nothing. `schema` is null for every schema. */
export const DEFAULT_PRIVILEGES_SQL = `
  SELECT pg_get_userbyid(d.defaclrole)::text AS owner, n.nspname::text AS schema, d.defaclobjtype::text AS "objectType",
         a.privilege_type AS privilege, CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END AS grantee
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
   WHERE a.grantee <> d.defaclrole
   ORDER BY 1, 2 NULLS FIRST, 3, 5 NULLS FIRST, 4`;

/** Before PostgreSQL 16 a member inherits all of its roles or none, and may SET ROLE to each. */
export const membershipsSql = (versionNumber: number) => `
  SELECT role.rolname::text AS role, member.rolname::text AS member, m.admin_option AS admin,
         ${versionNumber >= 160000 ? 'm.inherit_option' : 'member.rolinherit'} AS inherit,
         ${versionNumber >= 160000 ? 'm.set_option' : 'true'} AS set
    FROM pg_auth_members m JOIN pg_roles role ON role.oid = m.roleid JOIN pg_roles member ON member.oid = m.member
   ORDER BY 1, 2`;

/** Stored settings of roles and databases, as far as they act in this database. Null: every role, every database. */
export const STORED_SETTINGS_SQL = `
  SELECT r.rolname::text AS role, d.datname::text AS database,
         split_part(config.entry, '=', 1) AS setting, substr(config.entry, strpos(config.entry, '=') + 1) AS value
    FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS config(entry)
    LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
   WHERE s.setdatabase = 0 OR d.datname = current_database()
   ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3`;

export const EVENT_TRIGGERS_SQL = `
  SELECT e.evtname::text AS name, e.evtevent::text AS event, e.evtenabled::text AS enabled, e.evtfoid::text AS function,
         coalesce(e.evttags, '{}') AS tags, pg_get_userbyid(e.evtowner)::text AS owner
    FROM pg_event_trigger e ORDER BY e.evtname`;

export const EXTENSIONS_SQL = `
  SELECT e.extname::text AS name, e.extversion AS version, n.nspname::text AS schema
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace ORDER BY e.extname`;

/** One row for each table of each publication, FOR ALL TABLES expanded. Row filters and column lists are PostgreSQL 15. */
export const publicationsSql = (versionNumber: number) => `
  SELECT p.pubname::text AS name, p.puballtables AS "allTables", pg_get_userbyid(p.pubowner)::text AS owner,
         coalesce((SELECT json_agg(json_build_object('table', c.oid::text,
                     'filter', ${versionNumber >= 150000 ? 't.rowfilter' : 'NULL'}) ORDER BY t.schemaname, t.tablename)
                     FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
                     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
                    WHERE t.pubname = p.pubname), '[]') AS tables
    FROM pg_publication p ORDER BY p.pubname`;

/** Slots of this database, and the physical ones, which belong to none. */
export const REPLICATION_SLOTS_SQL = `
  SELECT s.slot_name::text AS name, s.plugin::text AS plugin, s.slot_type AS type, s.active
    FROM pg_replication_slots s WHERE s.database IS NULL OR s.database = current_database() ORDER BY s.slot_name`;

/** $1 the audited role. A user mapping whose user is null is PUBLIC's. */
export const FOREIGN_SERVERS_SQL = `
  SELECT s.srvname::text AS name, w.fdwname::text AS wrapper, pg_get_userbyid(s.srvowner)::text AS owner,
         has_server_privilege($1::oid, s.oid, 'USAGE') AS "appUsage",
         ARRAY(SELECT t.ftrelid::text FROM pg_foreign_table t WHERE t.ftserver = s.oid ORDER BY 1) AS tables,
         coalesce((SELECT json_agg(CASE WHEN m.umuser = 0 THEN NULL ELSE m.usename::text END)
                     FROM pg_user_mappings m WHERE m.srvid = s.oid), '[]') AS "mappedUsers"
    FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw ORDER BY s.srvname`;

/** $1 the audited role. */
export const DATABASE_SQL = `
  SELECT has_database_privilege($1::oid, d.oid, 'TEMP') AS "appTemp", has_database_privilege($1::oid, d.oid, 'CREATE') AS "appCreate",
         ${grants(`coalesce(d.datacl, acldefault('d', d.datdba))`)} AS grants,
         EXISTS (SELECT FROM pg_largeobject_metadata) AS "largeObjects"
    FROM pg_database d WHERE d.datname = current_database()`;
