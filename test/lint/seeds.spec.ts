import { readdirSync, readFileSync } from 'node:fs';
import { lintMigrations } from '../../libs/rls-tenants/src/lint/index.js';

const OPTIONS = {
  tenantTables: ['finding', 'resource', 'attack_paths_scan'],
  partitionedTables: ['finding'],
};

/** Rule and line of each finding, by file, with and without squawk's rules. */
async function lintFolder(folder: string, squawk: boolean) {
  const inputs = readdirSync(folder).map((file) => ({
    file,
    text: readFileSync(`${folder}/${file}`, 'utf8'),
  }));
  const { findings } = await lintMigrations(inputs, { ...OPTIONS, squawk });
  return Object.fromEntries(
    inputs.map(({ file }) => [
      file.replace(/^\d+-|\.ts$/g, ''),
      findings.filter((finding) => finding.file === file).map(({ ruleId, line }) => `${ruleId}:${line}`),
    ]),
  );
}

describe("the seed documents' examples in TypeORM", () => {
  it('the bad ones are flagged, each with its rule', async () => {
    expect(await lintFolder('test/lint/fixtures/seeds-bad', false)).toEqual({
      'index-with-table': ['MIG086:14'],
      'three-tables': [
        'MIG086:14',
        'MIG020:15',
        'MIG084:15',
        'MIG087:15',
        'MIG020:16',
        'MIG022:17',
        'MIG087:17',
      ],
      'partitioned-index': ['MIG022:7'],
      'concurrently-in-transaction': ['MIG001:7', 'MIG009:7', 'MIG004:12'],
      'inline-backfill': ['MIG058:6', 'MIG088:6'],
      'case-policy': ['MIG052:7'],
      'fields-of-two-tables': ['MIG011:7', 'MIG084:7', 'MIG040:8'],
      'save-in-a-loop': ['MIG059:6', 'MIG088:7'],
      'unique-field': ['MIG024:7', 'MIG036:7'],
      'grant-all': ['MIG057:6'],
      'disable-row-level-security': ['MIG051:6'],
      'or-policy': ['MIG052:7'],
      'setting-in-a-sub-select': ['MIG052:7'],
      'reversed-policy': ['MIG051:6', 'MIG051:7'],
      'required-tenant': ['MIG030:6', 'MIG032:6', 'MIG035:6'],
      'concurrently-on-the-parent': ['MIG010:9', 'MIG022:9'],
    });
  });

  it('the good ones are clean, by our rules and by those of squawk', async () => {
    const clean = await lintFolder('test/lint/fixtures/seeds-good', true);
    expect(Object.keys(clean)).toHaveLength(16);
    expect(Object.values(clean).flat()).toEqual([]);
  });
});

describe('what TypeORM generates for the entities of the demo', () => {
  it('breaks the rules that TypeORM does not know: protection at once, indexes apart, unique within a tenant', async () => {
    const file = '1764000000000-create-schema.ts';
    const text = readFileSync(`test/lint/fixtures/generated/${file}`, 'utf8');
    const { findings, coverage } = await lintMigrations([{ file, text }], { squawk: false });
    const lines = text.split('\n');
    const shown = findings.map(({ ruleId, line }) => {
      const [, object] = /(?:TABLE|INDEX) "(\w+)"/.exec(lines[line - 1]!)!;
      return `${ruleId} ${object}`;
    });
    expect(shown.sort()).toEqual([
      // Nobody can be deleted without a search through all tasks.
      'MIG039 task',
      // No policy is in sight.
      'MIG050 app_user',
      'MIG050 project',
      'MIG050 tag',
      'MIG050 task',
      'MIG050 task_tag',
      // Meant: people sign in by their address before their workspace is known.
      'MIG061 app_user',
      // Two enums.
      'MIG064 task',
      'MIG064 task',
      'MIG084 tag',
      // Every index, as seen from its table and from the other tables' indexes.
      'MIG086 IDX_309b309e721fad5dabce5affc4',
      'MIG086 task_tenant_project_idx',
      'MIG087 IDX_309b309e721fad5dabce5affc4',
    ]);
    // Foreign keys, checks and columns of new tables lock nobody out, and the keys contain the tenant: no finding.
    expect(coverage).toMatchObject({ migrations: 1, unanalyzable: 0 });
  });
});

describe("the demo's own migrations", () => {
  const FOLDER = 'apps/demo/src/migrations';
  const inputs = readdirSync(FOLDER).map((file) => ({
    file,
    text: readFileSync(`${FOLDER}/${file}`, 'utf8'),
  }));

  it('are clean, by our rules and by those of squawk, and nothing in them went unread', async () => {
    const { findings, coverage, skipped } = await lintMigrations(inputs);
    expect({ findings, skipped }).toEqual({ findings: [], skipped: [] });
    expect(coverage).toMatchObject({ migrations: 12, unanalyzable: 0, suppressed: 3 });
  });

  it('are clean because they protect each table at once: without that they are not', async () => {
    const unprotected = inputs.map(({ file, text }) => ({
      file,
      text: text.replace(/^ *protectTable\(.*\),\n/m, ''),
    }));
    const { findings } = await lintMigrations(unprotected, { squawk: false });
    expect(findings.map(({ ruleId }) => ruleId)).toEqual(['MIG050', 'MIG050', 'MIG050', 'MIG050']);
  });
});
