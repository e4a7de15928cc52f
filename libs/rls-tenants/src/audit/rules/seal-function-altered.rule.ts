import type { Catalog } from '../catalog.js';
import { defineRule, type Observation } from '../rule.js';
import { flawsOf, quotedSchema } from '../seal.js';
import type { CatalogSeal } from '../seal-catalog.js';
import { grant } from '../side-door-fixes.js';
import { quoteIdentifier } from '../../policies/index.js';

/** RLS061: sealed policies are as good as the functions that they ask. */
export const sealFunctionAltered = defineRule({
  id: 'RLS061',
  title: 'seal-function-altered',
  severity: 'critical',
  reason:
    'Sealed policies believe what the verifying functions answer: one that is not the library’s may take a tenant from anybody, or from nobody.',
  *find(catalog) {
    for (const seal of catalog.seals) {
      yield* missing(seal);
      for (const one of seal.functions) {
        const flaws = flawsOf(one, seal);
        if (flaws.length === 0) continue;
        yield {
          ...(flaws.every(({ minor }) => minor) ? { severity: 'warning' as const } : {}),
          object: functionName(seal, one.name),
          message: `It verifies the tenant seal, and ${flaws.map(({ text }) => text).join('; ')}.`,
          fix: `-- As the owner of the function, in an RlsMigration: ${upgrade(seal)}`,
        };
      }
      yield* notCallable(catalog, seal);
    }
  },
});

function* missing(seal: CatalogSeal): Iterable<Observation> {
  const lacking = [
    ...(seal.keyTable ? [] : [`table "${seal.schema}.${seal.keyTableName}"`]),
    ...[seal.currentTenant, seal.readableTenants].flatMap((name) =>
      seal.functions.some((one) => one.name === name) ? [] : [functionName(seal, name)],
    ),
  ];
  for (const object of lacking) {
    yield {
      object,
      message: 'It is part of what verifies the tenant seal, and it does not exist: no seal is genuine.',
      fix: `-- In an RlsMigration: removeSeal() and installSeal(), or restore the schema "${seal.schema}".`,
    };
  }
}

/** Without the right to ask, every statement on a sealed table fails. */
function* notCallable({ appRole }: Catalog, seal: CatalogSeal): Iterable<Observation> {
  const own = seal.reach.find(({ role }) => role === appRole.name);
  if (own && !own.usage) {
    yield {
      severity: 'error',
      object: `schema "${seal.schema}"`,
      message: `The app role "${appRole.name}" has no USAGE on the schema of the tenant seal: each of its statements on a sealed table fails.`,
      fix: grant('USAGE', `SCHEMA ${quotedSchema(seal)}`, appRole.name),
    };
  }
  for (const { name, appMayExecute } of seal.functions) {
    if (appMayExecute) continue;
    yield {
      severity: 'error',
      object: functionName(seal, name),
      message: `The app role "${appRole.name}" may not call it: each of its statements on a table whose policies do fails.`,
      fix: grant('EXECUTE', `FUNCTION ${quotedSchema(seal)}.${quoteIdentifier(name)}()`, appRole.name),
    };
  }
}

function functionName({ schema }: CatalogSeal, name: string): string {
  return `function "${schema}.${name}()"`;
}

function upgrade({ setting }: CatalogSeal): string {
  return setting === 'rls.current_tenant' ? 'upgradeSeal()' : `upgradeSeal({ tenantSetting: '${setting}' })`;
}
