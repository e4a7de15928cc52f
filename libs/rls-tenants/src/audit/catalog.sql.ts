// The statements of readCatalog(). Constants: only parameters vary, so that no name ever becomes SQL text and an
// isolated data source, which refuses statements that name tenant-scoped tables outside a tenant context, lets them by.

/** START TRANSACTION, not BEGIN with a query in front: the isolation level must come before the first snapshot. */
export const BEGIN_SQL = 'START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY';
export const COMMIT_SQL = 'COMMIT';
export const ROLLBACK_SQL = 'ROLLBACK';

/** $1 the role to audit, or null for the current user. */
export const IDENTITY_SQL = `
  SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version_number,
         pg_catalog.current_setting('server_version') AS version,
         pg_catalog.current_database()::pg_catalog.text AS database,
         (SELECT pg_catalog.pg_get_userbyid(d.datdba)::pg_catalog.text FROM pg_catalog.pg_database d
           WHERE d.datname = pg_catalog.current_database()) AS database_owner,
         current_user::pg_catalog.text AS current_user,
         session_user::pg_catalog.text AS session_user,
         pg_catalog.current_schemas(true)::pg_catalog.text[] AS search_path,
         coalesce($1::pg_catalog.text, current_user::pg_catalog.text) AS role,
         (SELECT r.oid::pg_catalog.text FROM pg_catalog.pg_roles r
           WHERE r.rolname::pg_catalog.text = coalesce($1::pg_catalog.text, current_user::pg_catalog.text)) AS role_oid`;

/**
 * From here on names mean pg_catalog's, and pg_get_expr qualifies everything that does not live there: a function
 * \`public.current_setting\` cannot pass for the real one.
 */
export const FIX_SEARCH_PATH_SQL = `
  SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
         pg_catalog.set_config('statement_timeout', '30s', true)`;

/**
 * $1 paths, $2 schemas (null: search the path), $3 names, $4 the search path. Resolves as to_regclass does, but needs
 * no USAGE on an explicit schema, for want of which to_regclass raises 42501.
 */
export const TABLES_SQL = `
  SELECT input.path, c.oid::text AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
         pg_get_userbyid(c.relowner)::text AS owner, pg_get_userbyid(n.nspowner)::text AS "schemaOwner",
         c.relrowsecurity AS "rlsEnabled", c.relforcerowsecurity AS "rlsForced"
    FROM unnest($1::text[], $2::text[], $3::text[]) AS input(path, schema, name)
   CROSS JOIN LATERAL (
         SELECT k.oid
           FROM pg_class k JOIN pg_namespace s ON s.oid = k.relnamespace
          WHERE k.relname = input.name::name
            AND CASE WHEN input.schema IS NULL THEN s.nspname::text = ANY ($4::text[]) ELSE s.nspname::text = input.schema END
          ORDER BY array_position($4::text[], s.nspname::text)
          LIMIT 1) AS resolved
    JOIN pg_class c ON c.oid = resolved.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace`;

/** $1 table oids. A column of a domain has the type below it; `typeKind` tells. */
export const COLUMNS_SQL = `
  SELECT attrelid::text AS table, attname::text AS name, typtype::text AS "typeKind",
         format_type(CASE typtype WHEN 'd' THEN (
           WITH RECURSIVE base(oid, below) AS (
             SELECT atttypid, typbasetype UNION ALL
             SELECT t.oid, CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE 0 END
               FROM base JOIN pg_type t ON t.oid = base.below)
           SELECT base.oid FROM base WHERE base.below = 0) ELSE atttypid END, NULL) AS type,
         attnotnull AS "notNull", coalesce(collisdeterministic, true) AS deterministic,
         pg_get_expr(adbin, adrelid) AS default, attgenerated <> '' AS generated, nullif(attidentity::text, '') AS identity
    FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
   WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped
   ORDER BY attrelid, attnum`;

/**
 * $1 table oids, $2 the audited role, $3 oids of the functions that verify seals. A policy applies to a role that inherits the role it names. What is pinned in
 * pg_catalog leaves no pg_depend row, so a dependency on anything but tables and roles is on somebody's own function,
 * operator, type or collation; the deparser does not show the operator of NULLIF.
 */
export const POLICIES_SQL = `
  SELECT p.polrelid::text AS table, p.polname::text AS name, p.polpermissive AS permissive,
         CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END AS command,
         ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r)::text END FROM unnest(p.polroles) AS r ORDER BY 1) AS roles,
         pg_get_expr(p.polqual, p.polrelid) AS using,
         pg_get_expr(p.polwithcheck, p.polrelid) AS "withCheck",
         EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
                    AND d.refclassid NOT IN ('pg_class'::regclass, 'pg_authid'::regclass)
                    AND NOT (d.refclassid = 'pg_proc'::regclass AND d.refobjid = ANY ($3::oid[]))) AS "usesOwnCode",
         EXISTS (SELECT FROM unnest(p.polroles) AS r
                  WHERE CASE WHEN r = 0 THEN true ELSE pg_has_role($2::oid, r, 'USAGE') END) AS "appliesToAppRole"
    FROM pg_policy p
   WHERE p.polrelid = ANY ($1::oid[])
   ORDER BY p.polrelid, p.polname`;

/** $1 table oids, $2 the audited role. Column privileges too: REFERENCES may be granted on a column. */
export const GRANTS_SQL = `
  SELECT acl.table, acl.privilege, CASE WHEN acl.grantee = 0 THEN NULL ELSE pg_get_userbyid(acl.grantee)::text END AS grantee, acl.column
    FROM (SELECT c.oid::text AS table, c.relowner AS owner, a.privilege_type AS privilege, a.grantee, NULL::text AS column
            FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
           WHERE c.oid = ANY ($1::oid[])
           UNION ALL
          SELECT c.oid::text, c.relowner, a.privilege_type, a.grantee, t.attname::text
            FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN LATERAL aclexplode(t.attacl) AS a
           WHERE c.oid = ANY ($1::oid[]) AND t.attacl IS NOT NULL AND NOT t.attisdropped) AS acl
   WHERE acl.grantee <> acl.owner
     AND CASE WHEN acl.grantee = 0 THEN true ELSE pg_has_role($2::oid, acl.grantee, 'USAGE') END
   ORDER BY 1, 2, 3, 4`;

/**
 * $1 the audited role, $2 names of roles to describe in any case, $3 the privilege word for "may SET ROLE" ('SET' is
 * unknown before PostgreSQL 16), $4 whether to describe every role. A superuser is a member of every role: only the
 * named ones are described then.
 */
export const ROLES_SQL = `
  SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS "bypassRls", r.rolcreaterole AS "createRole",
         r.rolreplication AS replication, r.rolcanlogin AS login,
         pg_has_role(app.oid, r.oid, 'USAGE') AS inherited,
         pg_has_role(app.oid, r.oid, $3) AS settable,
         EXISTS (SELECT FROM pg_auth_members m
                  WHERE m.admin_option AND pg_has_role(app.oid, m.member, 'MEMBER') AND pg_has_role(m.roleid, r.oid, 'MEMBER')) AS grantable
    FROM pg_roles r CROSS JOIN (SELECT oid, rolsuper FROM pg_roles WHERE oid = $1::oid) AS app
   WHERE $4::boolean OR r.rolname::text = ANY ($2::text[]) OR (NOT app.rolsuper AND pg_has_role(app.oid, r.oid, 'MEMBER'))
   ORDER BY r.rolname`;

/** $1 setting names, $2 names of the roles that log in, $3 whether this connection's own value counts. */
export const SETTINGS_SQL = `
  SELECT wanted.setting, current_setting(wanted.setting, true) AS value, 'connection' AS source, NULL::text AS role, NULL::text AS database
    FROM unnest($1::text[]) AS wanted(setting)
   WHERE $3::boolean AND current_setting(wanted.setting, true) <> ''
   UNION ALL
  SELECT wanted.setting, substr(config.entry, strpos(config.entry, '=') + 1), 'database-role', r.rolname::text, d.datname::text
    FROM pg_db_role_setting s
   CROSS JOIN LATERAL unnest(s.setconfig) AS config(entry)
    JOIN unnest($1::text[]) AS wanted(setting) ON lower(split_part(config.entry, '=', 1)) = lower(wanted.setting)
    LEFT JOIN pg_roles r ON r.oid = s.setrole
    LEFT JOIN pg_database d ON d.oid = s.setdatabase
   WHERE (s.setrole = 0 OR r.rolname::text = ANY ($2::text[]))
     AND (s.setdatabase = 0 OR d.datname = current_database())
     AND substr(config.entry, strpos(config.entry, '=') + 1) <> ''`;
