import type { CatalogFunction } from './database-catalog.js';
import type { FunctionCall, PolicyExpression, SettingRead } from './policy-expression.js';

/** What reads the tenant: the tenant settings, and the functions through which policies read them. */
export class TenantReads {
  private readonly settings: readonly string[];
  private readonly helpers: ReadonlySet<string>;

  constructor(functions: readonly CatalogFunction[], tenantSettings: readonly string[]) {
    this.settings = tenantSettings.map((setting) => setting.toLowerCase());
    this.helpers = helpersAmong(functions, this.settings);
  }

  /** Setting names are case-insensitive. */
  isTenantSetting({ name }: Pick<SettingRead, 'name'>): boolean {
    return name !== undefined && this.settings.includes(name.toLowerCase());
  }

  /** It reads a tenant setting itself, or calls a function of somebody's that does. */
  readsTenant({ settings, functions }: Pick<PolicyExpression, 'settings' | 'functions'>): boolean {
    return (
      settings.some((read) => this.isTenantSetting(read)) ||
      functions.some((call) => this.helpers.has(functionKey(call)))
    );
  }
}

/** Functions whose body names a tenant setting, or calls such a function: what policies call for current_setting. */
function helpersAmong(functions: readonly CatalogFunction[], settings: readonly string[]): Set<string> {
  const found = new Set<string>();
  let wanted = settings;
  let rest = functions.flatMap((one) => (one.body === null ? [] : [{ one, body: one.body.toLowerCase() }]));
  while (wanted.length > 0) {
    const named = rest.filter(({ body }) => wanted.some((text) => body.includes(text)));
    rest = rest.filter((one) => !named.includes(one));
    named.forEach(({ one }) => found.add(functionKey(one)));
    wanted = named.map(({ one }) => `${one.name.toLowerCase()}(`);
  }
  return found;
}

function functionKey({ schema, name }: Pick<FunctionCall, 'schema' | 'name'>): string {
  return `${schema}\0${name}`;
}
