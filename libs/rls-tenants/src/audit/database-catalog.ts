import { RlsConfigurationError } from '../errors.js';
import type { CatalogRows, CatalogTable } from './catalog.js';
import {
  constraintsSql,
  DATABASE_SQL,
  DEFAULT_PRIVILEGES_SQL,
  EVENT_TRIGGERS_SQL,
  EXTENSIONS_SQL,
  FOREIGN_SERVERS_SQL,
  FUNCTIONS_SQL,
  INDEXES_SQL,
  membershipsSql,
  POLICY_DEPENDENCIES_SQL,
  publicationsSql,
  REPLICATION_SLOTS_SQL,
  REWRITES_SQL,
  SCHEMAS_SQL,
  SEQUENCES_SQL,
  STORED_SETTINGS_SQL,
  TRIGGERS_SQL,
} from './database-catalog.sql.js';

// Everything here is as PostgreSQL has it. Objects refer to each other by oid (a string, and only within one snapshot);
// DatabaseCatalog finds them. "app" in a field means: for the audited role, inherited roles and PUBLIC included.

/** One entry of an access control list. */
export interface CatalogAclEntry {
  readonly privilege: string;
  /** Null stands for PUBLIC. */
  readonly grantee: string | null;
  /** WITH GRANT OPTION. */
  readonly grantable: boolean;
}

/** A schema of the audited scope. */
export interface CatalogSchema {
  readonly oid: string;
  readonly name: string;
  readonly owner: string;
  readonly appUsage: boolean;
  readonly appCreate: boolean;
  readonly grants: readonly CatalogAclEntry[];
}

/** A table, partitioned table, view, materialized view, foreign table or sequence of the audited scope. */
export interface CatalogRelation extends CatalogTable {
  readonly oid: string;
  /** `r` table, `p` partitioned table, `v` view, `m` materialized view, `f` foreign table, `S` sequence. */
  readonly kind: string;
  /** `p` permanent, `u` unlogged, `t` temporary. */
  readonly persistence: string;
  readonly isPartition: boolean;
  /** Of a partitioned table, for example `LIST (tenant_id)`. */
  readonly partitionKey: string | null;
  /** Of a partition, for example `FOR VALUES IN (1)`. */
  readonly partitionBound: string | null;
  /** Oids of what it is a partition of or inherits from. */
  readonly parents: readonly string[];
  /** `pg_class.reloptions`: `security_invoker=true` and the like. */
  readonly options: readonly string[];
  /** The extension it belongs to. */
  readonly extension: string | null;
  /** `reltuples`: −1 where it was never analyzed. */
  readonly rowEstimate: number;
  /** Sequential scans since the statistics were reset. Building an index is one. */
  readonly seqScans: number;
  /** Rows that they have read, whatever policies then did with them. */
  readonly seqRows: number;
  /** Table privileges of the audited role; SELECT, INSERT, UPDATE and REFERENCES on any of its columns count. */
  readonly appPrivileges: readonly string[];
}

/** One key column of an index. */
export interface CatalogIndexKey {
  /** Null for an expression. */
  readonly column: string | null;
  readonly expression: string | null;
  readonly operatorClass: string;
  /** Every search operator of the class is leakproof, so that it can be an index condition in front of a policy. */
  readonly leakproof: boolean;
  /** The operator of equality within the type is; false where the method has none. */
  readonly equalityLeakproof: boolean;
}

export interface CatalogIndex {
  readonly oid: string;
  /** Oid of its table. */
  readonly table: string;
  readonly name: string;
  /** `btree`, `hash`, `gin`, … */
  readonly method: string;
  readonly unique: boolean;
  readonly primary: boolean;
  readonly exclusion: boolean;
  readonly valid: boolean;
  /** An index of a partitioned table, which holds no entries itself. */
  readonly partitioned: boolean;
  /** Attached to the index of a partitioned table. */
  readonly isPartition: boolean;
  /** WHERE of a partial index. */
  readonly predicate: string | null;
  readonly definition: string;
  readonly scans: number;
  /** In order, without INCLUDE columns. */
  readonly keys: readonly CatalogIndexKey[];
}

export interface CatalogConstraint {
  readonly oid: string;
  /** Oid of its table. */
  readonly table: string;
  readonly name: string;
  /** `c` check, `f` foreign key, `p` primary key, `u` unique, `x` exclusion. */
  readonly type: 'c' | 'f' | 'p' | 'u' | 'x';
  readonly columns: readonly string[];
  /** Oid of the table a foreign key references. */
  readonly referencedTable: string | null;
  /** Pairs with `columns`. */
  readonly referencedColumns: readonly string[];
  /** `a` no action, `r` restrict, `c` cascade, `n` set null, `d` set default. */
  readonly onDelete: string | null;
  readonly onUpdate: string | null;
  /** `s` simple, `f` full. */
  readonly match: string | null;
  /** The columns of ON DELETE SET NULL or DEFAULT, null for all of them. Lists exist since PostgreSQL 15. */
  readonly deleteSetColumns: readonly string[] | null;
  readonly validated: boolean;
  /** It belongs to a constraint of the partitioned table above. */
  readonly inherited: boolean;
  readonly index: string | null;
  readonly definition: string;
}

export interface CatalogTrigger {
  /** Oid of its table. */
  readonly table: string;
  readonly name: string;
  /** Oid. */
  readonly function: string;
  /** `O` and `A` fire, `R` on replicas, `D` is disabled. */
  readonly enabled: string;
  /** It belongs to a trigger of the partitioned table above. */
  readonly inherited: boolean;
  readonly definition: string;
}

/** A function, procedure, aggregate or window function. */
export interface CatalogFunction {
  readonly oid: string;
  readonly schema: string;
  readonly name: string;
  /** As `ALTER FUNCTION` takes them. */
  readonly arguments: string;
  /** `f` function, `p` procedure, `a` aggregate, `w` window function. */
  readonly kind: string;
  /** Null for procedures. */
  readonly result: string | null;
  readonly owner: string;
  readonly language: string;
  readonly securityDefiner: boolean;
  readonly leakproof: boolean;
  /** `i` immutable, `s` stable, `v` volatile. */
  readonly volatility: string;
  /** `s` safe, `r` restricted, `u` unsafe. */
  readonly parallel: string;
  /** `proconfig`: `search_path=pg_catalog, pg_temp` and the like. */
  readonly config: readonly string[];
  /** An SQL-standard body (`BEGIN ATOMIC`): its names were resolved when it was made, whatever the search path is now. */
  readonly boundBody: boolean;
  readonly extension: string | null;
  /** The text, or the deparsed SQL-standard body; null for compiled languages and extensions. */
  readonly body: string | null;
  readonly appMayExecute: boolean;
  readonly grants: readonly CatalogAclEntry[];
}

/** A rule of `pg_rewrite`: a view's query, or what CREATE RULE made. */
export interface CatalogRewrite {
  /** Oid of the view or table it is on. */
  readonly relation: string;
  readonly name: string;
  readonly isView: boolean;
  readonly event: 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';
  readonly enabled: string;
  readonly definition: string;
  /** Oids of the other relations it reads or writes. */
  readonly relations: readonly string[];
  /** Oids of the functions it calls, without pg_catalog's. */
  readonly functions: readonly string[];
}

/** What one policy refers to, outside pg_catalog. Oids. */
export interface CatalogPolicyDependencies {
  /** Oid of the policy's table. */
  readonly table: string;
  /** The policy. */
  readonly name: string;
  /** Relations other than its own table. */
  readonly relations: readonly string[];
  readonly functions: readonly string[];
  readonly operators: readonly string[];
  readonly types: readonly string[];
}

export interface CatalogSequence {
  readonly oid: string;
  /** Oid of the table whose serial or identity column it belongs to. */
  readonly ownedByTable: string | null;
  readonly ownedByColumn: string | null;
  /** The columns whose default takes its next value; tables as oids. Not those of identities. */
  readonly defaultOf: readonly { readonly table: string; readonly column: string }[];
  readonly appSelect: boolean;
  readonly appUsage: boolean;
  readonly appUpdate: boolean;
}

/** One privilege that every object made later by `owner` will grant. */
export interface CatalogDefaultPrivilege {
  readonly owner: string;
  /** Null: in every schema. */
  readonly schema: string | null;
  /** `r` relations, `S` sequences, `f` functions, `T` types, `n` schemas, `L` large objects. */
  readonly objectType: string;
  readonly privilege: string;
  /** Null stands for PUBLIC. */
  readonly grantee: string | null;
}

export interface CatalogMembership {
  readonly role: string;
  readonly member: string;
  readonly admin: boolean;
  readonly inherit: boolean;
  readonly set: boolean;
}

/** `ALTER ROLE … SET` and `ALTER DATABASE … SET`. Null: every role, or every database. */
export interface CatalogStoredSetting {
  readonly role: string | null;
  readonly database: string | null;
  readonly setting: string;
  readonly value: string;
}

export interface CatalogEventTrigger {
  readonly name: string;
  /** `ddl_command_end`, `table_rewrite`, … */
  readonly event: string;
  /** `D` is disabled. */
  readonly enabled: string;
  /** Oid. */
  readonly function: string;
  /** Command tags it fires for; empty: all. */
  readonly tags: readonly string[];
  readonly owner: string;
}

export interface CatalogExtension {
  readonly name: string;
  readonly version: string;
  readonly schema: string;
}

export interface CatalogPublication {
  readonly name: string;
  readonly allTables: boolean;
  readonly owner: string;
  /** Oids of its tables, and the row filter that narrows each (PostgreSQL 15). */
  readonly tables: readonly { readonly table: string; readonly filter: string | null }[];
}

export interface CatalogReplicationSlot {
  readonly name: string;
  readonly plugin: string | null;
  readonly type: string;
  readonly active: boolean;
}

export interface CatalogForeignServer {
  readonly name: string;
  /** Name of its foreign-data wrapper. */
  readonly wrapper: string;
  readonly owner: string;
  readonly appUsage: boolean;
  /** Oids of its foreign tables. */
  readonly tables: readonly string[];
  /** Role names; null stands for PUBLIC. */
  readonly mappedUsers: readonly (string | null)[];
}

/** The database itself. */
export interface CatalogDatabase {
  readonly appTemp: boolean;
  readonly appCreate: boolean;
  readonly grants: readonly CatalogAclEntry[];
  /** There is at least one large object. */
  readonly largeObjects: boolean;
}

/** The whole audited scope, in the snapshot of the {@link Catalog} it hangs on. Lookups take oids. */
export interface DatabaseCatalog extends CatalogDatabase {
  readonly schemas: readonly CatalogSchema[];
  /** By schema and name. */
  readonly relations: readonly CatalogRelation[];
  readonly functions: readonly CatalogFunction[];
  readonly indexes: readonly CatalogIndex[];
  readonly constraints: readonly CatalogConstraint[];
  readonly triggers: readonly CatalogTrigger[];
  readonly rewrites: readonly CatalogRewrite[];
  readonly sequences: readonly CatalogSequence[];
  readonly policyDependencies: readonly CatalogPolicyDependencies[];
  readonly defaultPrivileges: readonly CatalogDefaultPrivilege[];
  readonly memberships: readonly CatalogMembership[];
  readonly storedSettings: readonly CatalogStoredSetting[];
  readonly eventTriggers: readonly CatalogEventTrigger[];
  readonly extensions: readonly CatalogExtension[];
  readonly publications: readonly CatalogPublication[];
  readonly replicationSlots: readonly CatalogReplicationSlot[];
  readonly foreignServers: readonly CatalogForeignServer[];
}

/**
 * The schemas to audit.
 *
 * @param names null for every schema but the system's and extensions'.
 * @throws RlsConfigurationError if a named schema does not exist.
 */
export async function readSchemas(
  query: CatalogRows,
  names: readonly string[] | null,
  appRole: string,
): Promise<CatalogSchema[]> {
  const schemas = await query<CatalogSchema>(SCHEMAS_SQL, [names, appRole]);
  const missing = names?.find((name) => !schemas.some((schema) => schema.name === name));
  if (missing === undefined) return schemas;
  throw new RlsConfigurationError(
    `Schema ${JSON.stringify(missing)} does not exist.`,
    'Name existing schemas to audit, or none to audit all of them.',
  );
}

/** The words `has_table_privilege` knows. */
export function tablePrivileges(versionNumber: number): string[] {
  const words = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'];
  return versionNumber >= 170000 ? [...words, 'MAINTAIN'] : words;
}

/** Reads what hangs on the relations and what belongs to no relation: a fixed number of statements. */
export async function readDatabaseCatalog(
  query: CatalogRows,
  schemas: readonly CatalogSchema[],
  relations: readonly CatalogRelation[],
  { versionNumber, appRole }: { versionNumber: number; appRole: string },
): Promise<DatabaseCatalog> {
  const schemaOids = schemas.map(({ oid }) => oid);
  const oids = relations.map(({ oid }) => oid);
  const [database] = await query<CatalogDatabase>(DATABASE_SQL, [appRole]);
  return {
    ...database!,
    schemas,
    relations,
    functions: await query(FUNCTIONS_SQL, [schemaOids, oids, appRole]),
    indexes: await query(INDEXES_SQL, [oids]),
    constraints: await query(constraintsSql(versionNumber), [oids]),
    triggers: await query(TRIGGERS_SQL, [oids]),
    rewrites: await query(REWRITES_SQL, [oids]),
    sequences: await query(SEQUENCES_SQL, [oids, appRole]),
    policyDependencies: await query(POLICY_DEPENDENCIES_SQL, [oids]),
    defaultPrivileges: await query(DEFAULT_PRIVILEGES_SQL),
    memberships: await query(membershipsSql(versionNumber)),
    storedSettings: await query(STORED_SETTINGS_SQL),
    eventTriggers: await query(EVENT_TRIGGERS_SQL),
    extensions: await query(EXTENSIONS_SQL),
    publications: await query(publicationsSql(versionNumber)),
    replicationSlots: await query(REPLICATION_SLOTS_SQL),
    foreignServers: await query(FOREIGN_SERVERS_SQL, [appRole]),
  };
}
