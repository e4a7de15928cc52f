import { parseTenantId, type TenantId, type TenantIdType } from '../context/tenant-id.js';
import { RlsConfigurationError } from '../errors.js';
import { quoteIdentifier } from '../policies/index.js';

/** A schema of the old layout, and the tenant whose rows it holds. */
export interface TenantSchema {
  readonly schema: string;
  readonly tenantId: string;
}

/** Where the tenant of each schema is said: for each schema by name, or by a pattern that the schemas' names follow. */
export type SchemaMapping =
  { readonly schemas: Readonly<Record<string, TenantId>> } | { readonly pattern: string };

const PLACEHOLDER = '{id}';

/** A uuid in a schema's name, where hyphens need quoting: with underscores, or with nothing in between. */
const UUID_PARTS =
  /^([0-9a-f]{8})[-_]?([0-9a-f]{4})[-_]?([0-9a-f]{4})[-_]?([0-9a-f]{4})[-_]?([0-9a-f]{12})$/i;

/**
 * The schemas to consolidate, by name, with their tenants. Reads no data.
 *
 * @param existing all schemas of the database.
 * @throws RlsConfigurationError if a schema of the mapping does not exist, no schema follows the pattern, or two schemas
 * have the same tenant, or the tenant id of one is not of the type: that schema has no tenant.
 */
export function tenantSchemas(
  mapping: SchemaMapping,
  existing: readonly string[],
  tenantIdType: TenantIdType,
): TenantSchema[] {
  const named =
    'pattern' in mapping ? byPattern(mapping.pattern, existing) : byName(mapping.schemas, existing);
  if (named.length === 0) {
    throw new RlsConfigurationError(
      'pattern' in mapping
        ? `No schema's name follows the pattern ${JSON.stringify(mapping.pattern)}.`
        : 'The mapping names no schema.',
      'Name the schemas of the tenants; `\\dn` in psql lists what there is.',
    );
  }
  const schemas = named.map(({ schema, tenantId }) => ({
    schema,
    tenantId: tenantOf(
      schema,
      'pattern' in mapping ? spelled(tenantId, tenantIdType) : tenantId,
      tenantIdType,
    ),
  }));
  refuseSharedTenants(schemas);
  return schemas.sort((a, b) => (a.schema < b.schema ? -1 : 1));
}

function byName(schemas: Readonly<Record<string, TenantId>>, existing: readonly string[]) {
  return Object.entries(schemas).map(([schema, tenantId]) => {
    quoteIdentifier(schema);
    if (existing.includes(schema)) return { schema, tenantId };
    throw new RlsConfigurationError(
      `The mapping names schema "${schema}", which does not exist.`,
      'Correct its name, or take it out of the mapping.',
    );
  });
}

function byPattern(pattern: string, existing: readonly string[]) {
  const [prefix, suffix, ...more] = pattern.split(PLACEHOLDER);
  if (suffix === undefined || more.length > 0 || (prefix === '' && suffix === '')) {
    throw new RlsConfigurationError(
      `Invalid pattern ${JSON.stringify(pattern)}.`,
      `It has ${PLACEHOLDER} once, beside fixed text: 'tenant_${PLACEHOLDER}'.`,
    );
  }
  return existing
    .filter(
      (schema) =>
        schema.length > prefix!.length + suffix.length &&
        schema.startsWith(prefix!) &&
        schema.endsWith(suffix),
    )
    .map((schema) => ({ schema, tenantId: schema.slice(prefix!.length, schema.length - suffix.length) }));
}

function spelled(tenantId: TenantId, tenantIdType: TenantIdType): TenantId {
  if (tenantIdType !== 'uuid') return tenantId;
  const parts = UUID_PARTS.exec(String(tenantId));
  return parts ? parts.slice(1).join('-') : tenantId;
}

function tenantOf(schema: string, tenantId: TenantId, tenantIdType: TenantIdType): string {
  try {
    return parseTenantId(tenantIdType, tenantId);
  } catch (cause) {
    throw new RlsConfigurationError(
      `Schema "${schema}" has no tenant: ${(cause as Error).message}`,
      'Name each schema and its tenant in a mapping file, and leave out the schemas that belong to nobody.',
      { cause },
    );
  }
}

function refuseSharedTenants(schemas: readonly TenantSchema[]): void {
  const seen = new Map<string, string>();
  for (const { schema, tenantId } of schemas) {
    const other = seen.get(tenantId);
    if (other !== undefined) {
      throw new RlsConfigurationError(
        `Schemas "${other}" and "${schema}" have the same tenant ${JSON.stringify(tenantId)}.`,
        'Each tenant has one schema: correct the mapping.',
      );
    }
    seen.set(tenantId, schema);
  }
}

/**
 * Reads a mapping file: `{"schema": "tenant id"}`.
 *
 * @throws RlsConfigurationError for anything else.
 */
export function parseMapping(text: string, file: string): SchemaMapping {
  const refuse = (cause: string) =>
    new RlsConfigurationError(
      `Mapping file ${file}: ${cause}.`,
      'It is a JSON object of schema names and tenant ids: {"acme": "6f1c2d3e-0000-4000-8000-000000000001"}.',
    );
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw refuse('it holds no object');
  // JSON.parse keeps the last of two equal keys, and one of two contradicting tenants would win in silence.
  const keys = [...text.matchAll(/"((?:[^"\\]|\\.)*)"\s*:/g)].map(([, key]) => key);
  const twice = keys.find((key, index) => keys.indexOf(key) !== index);
  if (twice !== undefined) throw refuse(`it names schema "${twice}" twice`);
  return { schemas: parsed as Record<string, TenantId> };
}
