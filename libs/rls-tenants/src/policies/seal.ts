import { RlsConfigurationError } from '../errors.js';
import type { TenantIdType } from '../context/tenant-id.js';
import {
  checkSettingName,
  DEFAULT_ADMIN_ROLE,
  DEFAULT_TENANT_SETTING,
  quoteIdentifier,
  quoteLiteral,
  quoteRole,
} from './identifiers.js';
import {
  checkTenantIdType,
  currentTenantSql,
  readableSettingOf,
  tenantListSql,
  tenantPredicateSql,
  type ReadableTenants,
} from './tenant-expression.js';

/** What the seal of today is called in its first field, and in the comments on what verifies it. */
export const SEAL_VERSION = '1';

/** Seconds that the clocks of application and PostgreSQL may differ: seals and keys are taken for so much longer. */
export const SEAL_CLOCK_SKEW_SECONDS = 30;

/** What all exceptions of the verifying functions begin with; they have SQLSTATE 42501 and a hint. */
export const SEAL_REFUSED = 'Seal refused';

/** Of the MAC, in hexadecimal digits. */
const MAC_CHARACTERS = 64;

/** Bytes of a block of SHA-256, to which HMAC pads its key. */
const BLOCK_BYTES = 64;

/** What sealing adds to a database, quoted. All of it is in the schema that has the tenant setting's prefix for a name. */
export interface SealObjects {
  /** `"rls"`. */
  readonly schema: string;
  /** The keys: `"rls"."seal_key"`. */
  readonly keyTable: string;
  /** Yields the tenant that the seal vouches for: `"rls"."current_tenant"()`. */
  readonly currentTenant: string;
  /** Yields it together with what a set context reads: `"rls"."readable_tenants"()`. */
  readonly readableTenants: string;
}

/** The setting that carries the seal, beside the tenant setting: `rls.seal`. */
export function sealSettingOf(tenantSetting: string): string {
  return checkSettingName(tenantSetting.replace(/[^.]*$/, 'seal'));
}

/**
 * The names of what verifies the seals of a tenant setting. The function has the setting's own name.
 *
 * @throws RlsConfigurationError if the setting's name has more than two parts, or is one of the other names.
 */
export function sealObjectsOf(tenantSetting = DEFAULT_TENANT_SETTING): SealObjects {
  const [prefix = '', name = '', ...more] = checkSettingName(tenantSetting).split('.');
  // Names of settings have no case.
  if (more.length > 0 || ['seal', READABLE, KEY_TABLE].includes(name.toLowerCase())) {
    throw new RlsConfigurationError(
      `The tenant setting ${tenantSetting} cannot be sealed.`,
      `Name it like ${DEFAULT_TENANT_SETTING}: a prefix, a dot, and a name other than seal, ${READABLE} and ${KEY_TABLE}.`,
    );
  }
  const schema = quoteIdentifier(prefix);
  return {
    schema,
    keyTable: `${schema}.${quoteIdentifier(KEY_TABLE)}`,
    currentTenant: `${schema}.${quoteIdentifier(name)}()`,
    readableTenants: `${schema}.${quoteIdentifier(READABLE)}()`,
  };
}

const READABLE = 'readable_tenants';
const KEY_TABLE = 'seal_key';

/**
 * The SQL that yields the current tenant if its seal is genuine, with the type of the tenant columns; NULL where there is
 * no tenant. An exception otherwise.
 *
 * The sub-select is part of the protection, and not for speed alone: its value is taken once for the statement. Without
 * it a statement could pass with its own seal, set another tenant half-way, and go on with that.
 */
export function sealedTenantSql(tenantIdType: TenantIdType, tenantSetting?: string): string {
  return `(SELECT ${castSql(sealObjectsOf(tenantSetting).currentTenant, tenantIdType)})`;
}

/**
 * The predicate of a sealed policy: `"tenant_id" = (SELECT "rls"."current_tenant"()::uuid) AND "tenant_id" = … AND
 * uuid_eq("tenant_id", (SELECT "rls"."current_tenant"()::uuid))`, where the middle is a plain policy's.
 *
 * - The call admits rows, each by the one value that was verified. It is no operator: what is equal by operators
 *   PostgreSQL puts into one class, and looks for rows by one member only, which may be a statement's own that it changes
 *   half-way. Test: test/sealed/equality-classes.spec.ts.
 * - The middle admits nothing. It is what PostgreSQL plans by, as in a plain policy: an index condition, whose order a
 *   page can be read in, with the statistics of the tenant itself.
 * - The first makes PostgreSQL compare the two with each other before it looks for any row. So a seal is refused whether
 *   or not there are rows, and the error tells nothing about them. Test: test/sealed/error-oracle.spec.ts.
 */
export function sealedTenantPredicateSql(
  tenantColumn: string,
  tenantIdType: TenantIdType,
  tenantSetting?: string,
): string {
  const column = quoteIdentifier(tenantColumn);
  const verified = sealedTenantSql(tenantIdType, tenantSetting);
  const plain = tenantPredicateSql(tenantColumn, currentTenantSql(tenantIdType, tenantSetting));
  const equal = EQUALITY_FUNCTIONS[checkTenantIdType(tenantIdType)];
  return `${column} = ${verified} AND ${plain} AND pg_catalog.${equal}(${column}, ${verified})`;
}

/** What the operator `=` of each type calls, in pg_catalog. */
export const EQUALITY_FUNCTIONS: Readonly<Record<TenantIdType, string>> = {
  uuid: 'uuid_eq',
  integer: 'int4eq',
  bigint: 'int8eq',
  text: 'texteq',
};

/** The counterpart of `readableTenantsSql`: the array, if the seal vouches for the tenant and for what its set reads. */
export function sealedReadableTenantsSql(
  tenantIdType: TenantIdType,
  tenantSetting: string,
  { bySet, sharedTenant }: ReadableTenants,
): string {
  const { currentTenant, readableTenants } = sealObjectsOf(tenantSetting);
  const list = tenantListSql(tenantIdType, [bySet ? readableTenants : currentTenant], sharedTenant);
  // A cast behind the sub-select: ANY would take it for a set of rows.
  return `(SELECT ${list})::${checkTenantIdType(tenantIdType)}[]`;
}

/**
 * The predicate of a sealed policy that admits the rows of several tenants: that the row's tenant is in the list that the
 * seal vouches for, as an index condition, and again as one call.
 *
 * The call is as cheap as a condition that leaves a trace of a row can be, and ANY is not: PostgreSQL checks what costs
 * less first, and a statement's own condition must not see rows that the policy does not admit. Test: attack O13.
 */
export function sealedReadablePredicateSql(
  tenantColumn: string,
  tenantIdType: TenantIdType,
  tenantSetting: string,
  readable: ReadableTenants,
): string {
  const column = quoteIdentifier(tenantColumn);
  const list = sealedReadableTenantsSql(tenantIdType, tenantSetting, readable);
  return `${column} = ANY (${list}) AND pg_catalog.array_position(${list}, ${column}) IS NOT NULL`;
}

/** What is signed, as text. The length makes it unambiguous, whatever a tenant id consists of. */
export function sealMessage(
  tenantSetting: string,
  fields: Omit<Seal, 'mac'>,
  tenant: string,
  readable: string,
): string {
  return [tenantSetting, sealHeader(fields), Buffer.byteLength(tenant), tenant + readable].join('\n');
}

/** A seal: who made it, how long it is worth something, and on which backend. */
export interface Seal {
  /** Of letters, digits, `_` and `-`; up to 32 of them. */
  readonly keyId: string;
  /** Unix time, in seconds. */
  readonly expires: number;
  /** The process id of the only backend that takes it; 0: any. */
  readonly backend: number;
  /** HMAC-SHA-256 of the {@link sealMessage}, in hexadecimal digits. */
  readonly mac: string;
}

/** The value of the seal's setting. */
export function sealText(seal: Seal): string {
  return `${sealHeader(seal)}.${seal.mac}`;
}

function sealHeader({ keyId, expires, backend }: Omit<Seal, 'mac'>): string {
  return `${SEAL_VERSION}.${keyId}.${expires}.${backend}`;
}

/** Whose are the objects, and who calls the functions. */
export interface SealInstallation {
  /** Default `'rls.current_tenant'`. */
  tenantSetting?: string;
  /** The login that serves requests. */
  appRole: string;
  /** Default `'rls_admin'`. */
  adminRole?: string;
  /** Other roles that read or write sealed tables as tenants. Default: none. */
  otherRoles?: readonly string[];
}

/**
 * Makes what verifies seals: a schema, the table of keys, and two functions that belong to whoever runs this. Nobody but
 * the owner can read the keys, whatever the default privileges say.
 */
export function installSealSql(installation: SealInstallation): string[] {
  const { schema, keyTable } = sealObjectsOf(installation.tenantSetting);
  const callers = rolesOf(installation);
  return [
    `CREATE SCHEMA ${schema}`,
    `CREATE TABLE ${keyTable} (id text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,32}$'), ` +
      `inner_pad bytea NOT NULL CHECK (octet_length(inner_pad) = ${BLOCK_BYTES}), ` +
      `outer_pad bytea NOT NULL CHECK (octet_length(outer_pad) = ${BLOCK_BYTES}), ` +
      `expires_at timestamptz, created_at timestamptz NOT NULL DEFAULT now())`,
    revokeDefaultsSql(schema, keyTable),
    `COMMENT ON TABLE ${keyTable} IS 'nestjs-rls-tenants: keys of the tenant seal; nobody but the owner may read them'`,
    ...sealFunctionsSql(installation),
    `GRANT USAGE ON SCHEMA ${schema} TO ${callers}`,
  ];
}

/** Takes from everybody but the owner what default privileges gave on the schema and the table of keys. */
function revokeDefaultsSql(schema: string, keyTable: string): string {
  const object = (kind: string, name: string) => quoteLiteral(`${kind} ${name}`);
  const body = `
DECLARE statement text;
BEGIN
  FOR statement IN
    SELECT format('REVOKE ALL ON %s FROM %s', object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
    FROM (SELECT ${object('SCHEMA', schema)} AS object, nspowner AS owner, (aclexplode(nspacl)).grantee
          FROM pg_namespace WHERE oid = ${quoteLiteral(schema)}::regnamespace
          UNION SELECT ${object('TABLE', keyTable)}, relowner, (aclexplode(relacl)).grantee
          FROM pg_class WHERE oid = ${quoteLiteral(keyTable)}::regclass) AS granted
    WHERE grantee <> owner
  LOOP
    EXECUTE statement;
  END LOOP;
END`;
  return `DO ${quoteLiteral(body)}`;
}

/** Makes the verifying functions, and lets the roles of an installation call them. */
export function sealFunctionsSql(installation: SealInstallation): string[] {
  const { currentTenant, readableTenants } = sealObjectsOf(installation.tenantSetting);
  const callers = rolesOf(installation);
  return [
    ...replaceSealFunctionsSql(installation.tenantSetting),
    ...[currentTenant, readableTenants].flatMap((signature) => [
      `REVOKE ALL ON FUNCTION ${signature} FROM PUBLIC`,
      `GRANT EXECUTE ON FUNCTION ${signature} TO ${callers}`,
    ]),
  ];
}

/** Makes the verifying functions those of this version of the library. Whose they are and who calls them stays. */
export function replaceSealFunctionsSql(tenantSetting = DEFAULT_TENANT_SETTING): string[] {
  const objects = sealObjectsOf(tenantSetting);
  return [
    [objects.currentTenant, 'tenant'] as const,
    [objects.readableTenants, 'tenant || readable'] as const,
  ].flatMap(([signature, result]) => [
    verifyingFunctionSql(signature, result, tenantSetting, objects.keyTable),
    `COMMENT ON FUNCTION ${signature} IS ${quoteLiteral(`nestjs-rls-tenants: tenant seal, version ${SEAL_VERSION}`)}`,
  ]);
}

/** The inverse of {@link installSealSql}. PostgreSQL refuses it as long as a policy calls one of the functions. */
export function uninstallSealSql(tenantSetting?: string): string[] {
  const { schema, keyTable, currentTenant, readableTenants } = sealObjectsOf(tenantSetting);
  return [
    `DROP FUNCTION ${readableTenants}`,
    `DROP FUNCTION ${currentTenant}`,
    `DROP TABLE ${keyTable}`,
    `DROP SCHEMA ${schema}`,
  ];
}

/** A key as the database holds it: what HMAC makes of the secret before it sees a message. */
export interface SealKeyPads {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

/** @throws RlsConfigurationError if the secret is shorter than SHA-256 is wide, or longer than its block. */
export function sealKeyPads(secret: Uint8Array): SealKeyPads {
  if (secret.length < 32 || secret.length > BLOCK_BYTES) {
    throw new RlsConfigurationError(
      `A seal key has ${secret.length} bytes.`,
      `Use 32 to ${BLOCK_BYTES} random bytes: \`rls-tenants seal-keys --generate\` makes them.`,
    );
  }
  const pad = (byte: number) => {
    const bytes = Buffer.alloc(BLOCK_BYTES, byte);
    secret.forEach((value, index) => (bytes[index] = value ^ byte));
    return bytes;
  };
  return { inner: pad(0x36), outer: pad(0x5c) };
}

/** Adds a key or changes when it expires: $1 id, $2 inner pad, $3 outer pad, $4 when it expires. */
export function upsertSealKeySql(tenantSetting?: string): string {
  const { keyTable } = sealObjectsOf(tenantSetting);
  return (
    `INSERT INTO ${keyTable} AS k (id, inner_pad, outer_pad, expires_at) VALUES ($1, $2, $3, $4) ` +
    `ON CONFLICT (id) DO UPDATE SET expires_at = EXCLUDED.expires_at ` +
    `WHERE k.inner_pad = EXCLUDED.inner_pad AND k.outer_pad = EXCLUDED.outer_pad RETURNING id`
  );
}

/**
 * HMAC-SHA-256 from the built-in sha256(), with the pads that the key table holds. The search path is fixed, so that the
 * session's decides nothing of what is called. The MACs are compared by their hashes: how long a comparison takes must not
 * tell how many bytes of a guess were right.
 *
 * It runs with each statement, and most of what it takes is what PL/pgSQL does for each of its expressions in each
 * transaction: so they are few, and what is wrong is found out afterwards. A table of a few keys is read faster than its
 * index: the concatenation keeps PostgreSQL from using that.
 *
 * A parallel worker is a backend of its own, and cannot ask for its leader's process id without privileges: so it runs in
 * the leader only, which hands its result to the workers. Test: "in parallel workers".
 */
function verifyingFunctionSql(
  signature: string,
  result: string,
  tenantSetting: string,
  keyTable: string,
): string {
  const setting = (name: string) => `current_setting(${quoteLiteral(name)}, true)`;
  const message =
    `${quoteLiteral(tenantSetting)} || chr(10) || left(seal, ${-MAC_CHARACTERS - 1}) || chr(10) || ` +
    `octet_length(convert_to(tenant, 'UTF8')) || chr(10) || tenant || readable`;
  const refuse = (condition: string, text: string, hint: string, ...values: string[]) => `
  IF ${condition} THEN
    RAISE EXCEPTION ${[quoteLiteral(`${SEAL_REFUSED}: ${text}`), ...values].join(', ')}
      USING ERRCODE = 'insufficient_privilege', HINT = ${quoteLiteral(hint)};
  END IF;`;
  const body = `
DECLARE
  tenant CONSTANT text := ${setting(tenantSetting)};
  readable CONSTANT text := COALESCE(${setting(readableSettingOf(tenantSetting))}, '');
  seal CONSTANT text := ${setting(sealSettingOf(tenantSetting))};
  inner_pad bytea;
  outer_pad bytea;
  mac text;
BEGIN
  IF tenant IS NULL OR tenant = '' THEN
    RETURN NULL;
  END IF;
  SELECT k.inner_pad, k.outer_pad INTO inner_pad, outer_pad FROM ${keyTable} AS k
    WHERE k.id || '' = split_part(seal, '.', 2) AND (k.expires_at IS NULL OR k.expires_at + interval '${SEAL_CLOCK_SKEW_SECONDS} seconds' > clock_timestamp());
  mac := encode(sha256(outer_pad || sha256(inner_pad || convert_to(${message}, 'UTF8'))), 'hex');
  IF sha256(convert_to(mac, 'UTF8')) = sha256(convert_to(right(seal, ${MAC_CHARACTERS}), 'UTF8'))
      AND split_part(seal, '.', 1) = ${quoteLiteral(SEAL_VERSION)}
      AND split_part(seal, '.', 3)::bigint + ${SEAL_CLOCK_SKEW_SECONDS} >= date_part('epoch', clock_timestamp())
      AND (split_part(seal, '.', 4) = '0' OR split_part(seal, '.', 4)::integer = pg_backend_pid()) THEN
    RETURN ${result};
  END IF;
${refuse(
  `seal IS NULL OR split_part(seal, '.', 1) <> ${quoteLiteral(SEAL_VERSION)}`,
  'the tenant was set without a seal.',
  'Give the module (or isolateDataSource) the option `seal`: the setting alone does not make anybody a tenant.',
)}${refuse(
    'inner_pad IS NULL',
    'its key "%" is unknown to the database, or has expired.',
    'Give database and application the same keys: `rls-tenants seal-keys`.',
    "split_part(seal, '.', 2)",
  )}${refuse(
    `sha256(convert_to(mac, 'UTF8')) IS DISTINCT FROM sha256(convert_to(right(seal, ${MAC_CHARACTERS}), 'UTF8'))`,
    'it was made for another tenant, or with another key "%".',
    'If nobody tampers with it, the application has another secret under this key id than the database: `rls-tenants seal-keys`.',
    "split_part(seal, '.', 2)",
  )}${refuse(
    `split_part(seal, '.', 3)::bigint + ${SEAL_CLOCK_SKEW_SECONDS} < date_part('epoch', clock_timestamp())`,
    'it expired at %.',
    `The statement ran long after its transaction carried it, or the clocks of application and database differ by more than ${SEAL_CLOCK_SKEW_SECONDS} seconds.`,
    "to_timestamp(split_part(seal, '.', 3)::bigint)",
  )}${refuse(
    'true',
    'it is bound to backend %, and this is backend %.',
    "A pooler sits between application and database: set `seal.backend` to 'unbound'.",
    "split_part(seal, '.', 4)",
    'pg_backend_pid()',
  )}
END`;
  return (
    `CREATE OR REPLACE FUNCTION ${signature} RETURNS text LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER ` +
    `SET search_path = pg_catalog, pg_temp AS ${quoteLiteral(body)}`
  );
}

function castSql(text: string, tenantIdType: TenantIdType): string {
  return tenantIdType === 'text' ? text : `${text}::${checkTenantIdType(tenantIdType)}`;
}

function rolesOf({ appRole, adminRole = DEFAULT_ADMIN_ROLE, otherRoles = [] }: SealInstallation): string {
  return [...new Set([appRole, adminRole, ...otherRoles])].map(quoteRole).join(', ');
}
