import { sealObjectsOf, sealSettingOf } from '../policies/index.js';
import type { CatalogRows } from './catalog.js';
import { sealKeysSql, SEALS_SQL } from './seal-catalog.sql.js';

/** A function that policies ask for the sealed tenant, as it is. */
export interface CatalogSealFunction {
  readonly oid: string;
  readonly name: string;
  readonly owner: string;
  readonly language: string;
  /** `text`, as the library makes it. */
  readonly result: string | null;
  /** `pg_proc.prokind`. */
  readonly kind: string;
  readonly securityDefiner: boolean;
  readonly leakproof: boolean;
  readonly volatility: string;
  readonly parallel: string;
  readonly config: readonly string[];
  readonly body: string;
  readonly comment: string | null;
  readonly appMayExecute: boolean;
}

/** A privilege on the key table, granted to somebody else than its owner. Null for the grantee stands for PUBLIC. */
export interface CatalogSealGrant {
  readonly privilege: string;
  readonly grantee: string | null;
  readonly column: string | null;
}

/** The table of keys, as it is. */
export interface CatalogSealKeyTable {
  readonly oid: string;
  readonly owner: string;
  /** Of the connection, not of the audited role. */
  readonly mayRead: boolean;
  readonly grants: readonly CatalogSealGrant[];
  /** What the next table of the owner's would grant. A null schema stands for every schema. */
  readonly defaults: readonly {
    readonly schema: string | null;
    readonly privilege: string;
    readonly grantee: string | null;
  }[];
}

/** What a role may do with a seal's objects: all that it has, inherits and shares with PUBLIC. */
export interface CatalogSealReach {
  readonly role: string;
  /** USAGE on the schema. */
  readonly usage: boolean;
  /** CREATE on the schema. */
  readonly create: boolean;
  /** Privileges on the key table or on a column of it. */
  readonly table: readonly string[];
}

/** A key, without what makes it secret. */
export interface CatalogSealKey {
  readonly id: string;
  readonly expiresAt: Date | null;
}

/** What verifies the seals of one tenant setting, whole or in part. */
export interface CatalogSeal {
  readonly setting: string;
  readonly schema: string;
  readonly schemaOid: string;
  readonly schemaOwner: string;
  readonly schemaGrants: readonly { readonly privilege: string; readonly grantee: string | null }[];
  /** Names, not quoted. */
  readonly keyTableName: string;
  readonly currentTenant: string;
  readonly readableTenants: string;
  readonly keyTable: CatalogSealKeyTable | null;
  readonly functions: readonly CatalogSealFunction[];
  /** The audited role, and every role that it is a member of. */
  readonly reach: readonly CatalogSealReach[];
  /** Settings about the server's log, by name, as this connection has them. */
  readonly log: Readonly<Record<string, string | undefined>>;
  /** PostgreSQL's functions that read files of the server, as far as the audited role may call them. */
  readonly fileReaders: readonly string[];
  /** By the database's clock, by which keys expire. */
  readonly readAt: Date;
  /** Undefined where the connection's role may not read them, as no role but the owner should. */
  readonly keys: readonly CatalogSealKey[] | undefined;
}

/** Reads what there is for the seals of tenant settings. None for a setting whose database was never sealed. */
export async function readSeals(
  query: CatalogRows,
  settings: readonly string[],
  { appRole, privileges }: { appRole: string; privileges: readonly string[] },
): Promise<CatalogSeal[]> {
  const wanted = [...new Set(settings)].flatMap(namesOf);
  if (wanted.length === 0) return [];
  const column = (name: keyof SealNames) => wanted.map((one) => one[name]);
  const rows = await query<Omit<CatalogSeal, 'keys'>>(SEALS_SQL, [
    column('setting'),
    column('schema'),
    column('keyTable'),
    column('currentTenant'),
    column('readableTenants'),
    appRole,
    privileges,
  ]);
  const seals: CatalogSeal[] = [];
  for (const row of rows.filter(isInstalled)) seals.push({ ...row, keys: await readKeys(query, row) });
  return seals;
}

interface SealNames {
  readonly setting: string;
  readonly schema: string;
  readonly keyTable: string;
  readonly currentTenant: string;
  readonly readableTenants: string;
}

/** A setting that cannot be sealed has no names. */
function namesOf(setting: string): SealNames[] {
  try {
    const { schema, keyTable, currentTenant, readableTenants } = sealObjectsOf(setting);
    return [
      {
        setting,
        schema: lastName(schema),
        keyTable: lastName(keyTable),
        currentTenant: lastName(currentTenant),
        readableTenants: lastName(readableTenants),
      },
    ];
  } catch {
    return [];
  }
}

function lastName(quoted: string): string {
  const names = [...quoted.matchAll(/"((?:[^"]|"")+)"/g)].map(([, name]) => name!.replaceAll('""', '"'));
  return names.at(-1)!;
}

/**
 * A schema of that name may be anybody's, and so may a function: people write a helper `rls.current_tenant()` of their
 * own. It is about seals if it has the table of keys, or a function that reads seals.
 */
function isInstalled({ keyTable, functions, setting }: Omit<CatalogSeal, 'keys'>): boolean {
  return keyTable !== null || functions.some(({ body }) => body.includes(`'${sealSettingOf(setting)}'`));
}

async function readKeys(
  query: CatalogRows,
  { setting, keyTable }: Omit<CatalogSeal, 'keys'>,
): Promise<readonly CatalogSealKey[] | undefined> {
  if (!keyTable?.mayRead) return undefined;
  return query<CatalogSealKey>(sealKeysSql(sealObjectsOf(setting).keyTable));
}
