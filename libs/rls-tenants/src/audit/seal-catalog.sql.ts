import { grants } from './database-catalog.sql.js';

// The statements of readSeals(), under the search path of catalog.sql.ts.

/**
 * $1 tenant settings, $2 the schemas that verify their seals, $3 key tables, $4 and $5 the two functions of each; $6 the
 * audited role, $7 the words of table privileges. One row for each setting whose schema exists.
 *
 * `reach`: what the audited role may do there, and every role that it is a member of.
 */
export const SEALS_SQL = `
  SELECT w.setting, w."currentTenant", w."readableTenants",
         n.oid::text AS "schemaOid", n.nspname::text AS schema, pg_get_userbyid(n.nspowner)::text AS "schemaOwner",
         ${grants(`coalesce(n.nspacl, acldefault('n', n.nspowner))`)} AS "schemaGrants",
         w."keyTable" AS "keyTableName", clock_timestamp() AS "readAt",
         (SELECT json_build_object(
                   'oid', c.oid::text, 'owner', pg_get_userbyid(c.relowner)::text,
                   'mayRead', c.relkind = 'r' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                     AND (SELECT count(*) FROM pg_attribute t WHERE t.attrelid = c.oid AND NOT t.attisdropped
                             AND (t.attname, t.atttypid) IN (('id', 'text'::regtype), ('expires_at', 'timestamptz'::regtype))) = 2,
                   'grants', (SELECT coalesce(json_agg(json_build_object('privilege', a.privilege, 'column', a.column,
                               'grantee', CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END)
                               ORDER BY a.grantee, a.column NULLS FIRST, a.privilege), '[]')
                      FROM (SELECT x.privilege_type AS privilege, x.grantee, NULL::text AS column FROM aclexplode(c.relacl) AS x
                             UNION ALL
                            SELECT x.privilege_type, x.grantee, t.attname::text
                              FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) AS x
                             WHERE t.attrelid = c.oid AND NOT t.attisdropped) AS a
                     WHERE a.grantee <> c.relowner),
                   'defaults', (SELECT coalesce(json_agg(json_build_object(
                               'schema', s.nspname::text, 'privilege', a.privilege_type,
                               'grantee', CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee)::text END)
                               ORDER BY a.grantee, s.nspname NULLS FIRST, a.privilege_type), '[]')
                      FROM pg_default_acl d LEFT JOIN pg_namespace s ON s.oid = d.defaclnamespace
                     CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
                     WHERE d.defaclrole = c.relowner AND d.defaclobjtype = 'r' AND d.defaclnamespace IN (0, n.oid)
                       AND a.grantee <> d.defaclrole))
            FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = w."keyTable"::name) AS "keyTable",
         (SELECT coalesce(json_agg(json_build_object(
                   'oid', p.oid::text, 'name', p.proname, 'owner', pg_get_userbyid(p.proowner)::text, 'language', l.lanname,
                   'result', pg_get_function_result(p.oid), 'kind', p.prokind, 'securityDefiner', p.prosecdef,
                   'leakproof', p.proleakproof, 'volatility', p.provolatile, 'parallel', p.proparallel,
                   'config', coalesce(p.proconfig, '{}'), 'body', p.prosrc, 'comment', obj_description(p.oid, 'pg_proc'),
                   'appMayExecute', has_function_privilege($6::oid, p.oid, 'EXECUTE')) ORDER BY p.proname), '[]')
            FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
           WHERE p.pronamespace = n.oid AND p.pronargs = 0
             AND p.proname::text IN (w."currentTenant", w."readableTenants")) AS functions,
         (SELECT json_agg(json_build_object(
                   'role', r.rolname::text,
                   'usage', has_schema_privilege(r.oid, n.oid, 'USAGE'), 'create', has_schema_privilege(r.oid, n.oid, 'CREATE'),
                   'table', ARRAY(SELECT word FROM pg_class c CROSS JOIN unnest($7::text[]) AS word
                                   WHERE c.relnamespace = n.oid AND c.relname = w."keyTable"::name
                                     AND CASE WHEN word IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                                              THEN has_any_column_privilege(r.oid, c.oid, word)
                                              ELSE has_table_privilege(r.oid, c.oid, word) END)) ORDER BY r.rolname)
            FROM pg_roles r CROSS JOIN (SELECT oid, rolsuper FROM pg_roles WHERE oid = $6::oid) AS app
           WHERE r.oid = app.oid OR (NOT app.rolsuper AND pg_has_role(app.oid, r.oid, 'MEMBER'))) AS reach,
         (SELECT json_object_agg(g.name, g.setting) FROM pg_settings g
           WHERE g.name IN ('log_statement', 'log_min_duration_statement', 'log_min_duration_sample', 'log_duration',
                            'log_parameter_max_length', 'log_parameter_max_length_on_error', 'log_transaction_sample_rate',
                            'auto_explain.log_min_duration', 'auto_explain.log_parameter_max_length')) AS log,
         ARRAY(SELECT p.oid::regprocedure::text FROM pg_proc p
                WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN ('pg_read_file', 'pg_read_binary_file')
                  AND has_function_privilege($6::oid, p.oid, 'EXECUTE') ORDER BY 1) AS "fileReaders"
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
           AS w(setting, schema, "keyTable", "currentTenant", "readableTenants")
    JOIN pg_namespace n ON n.nspname = w.schema::name
   ORDER BY w.setting`;

/**
 * The keys, without what makes them secret. For a connection that may read them only: the owner's, or a superuser's.
 *
 * @param keyTable quoted.
 */
export function sealKeysSql(keyTable: string): string {
  return `SELECT id, expires_at AS "expiresAt" FROM ${keyTable} ORDER BY id`;
}
