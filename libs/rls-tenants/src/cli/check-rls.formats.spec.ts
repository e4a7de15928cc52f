import type { Finding, JudgedReport, ReportedTable } from '../audit/index.js';
import { REPORT_FORMATS, type ReportFormat, type ReportView } from './check-rls.formats.js';

/** A name that means something to every format; PostgreSQL allows all of it but \0 in a quoted identifier. */
const EVIL =
  'a"b\'c\n::error::pwned\r<script>alert(1)</script>]]>&amp;<!--`|* [x](javascript:1) @everyone %0A\u001B[31m\u0007\u202E';

const table = (name: string, rest: Partial<ReportedTable> = {}): ReportedTable => ({
  kind: 'entity',
  entityName: 'Note',
  table: name,
  exists: true,
  rlsEnabled: true,
  rlsForced: true,
  policies: [],
  partitions: [],
  ...rest,
});
const rule = (id: string, title: string, severity: Finding['severity'], tier: number) => ({
  id,
  title,
  severity,
  tier,
});
const finding = (ruleId: string, object: string, severity: Finding['severity']): Finding => ({
  ruleId,
  object,
  severity,
  title: 'title',
  message: `Message of ${object}.`,
  fix: `FIX\n${object};`,
});

const report = (rest: Partial<JudgedReport> = {}): JudgedReport => ({
  database: 'shop',
  serverVersion: '18.1',
  role: 'app',
  findings: [
    finding('RLS004', 'table "public.note"', 'critical'),
    finding('RLS020', 'view "public.all"', 'error'),
    finding('RLS072', 'table "public.tag"', 'warning'),
  ],
  tables: [table('public.note'), table('public.tag')],
  rules: [
    rule('RLS004', 'rls-not-enabled', 'critical', 0),
    rule('RLS005', 'rls-not-forced', 'error', 0),
    rule('RLS020', 'view-runs-as-owner', 'critical', 1),
    rule('RLS072', 'no-tenant-leading-index', 'warning', 4),
  ],
  skipped: [{ ...rule('RLS080', 'policy-drift', 'error', 5), reason: 'No entities were given.' }],
  counts: { tables: 2, joinTables: 0, recognised: 0 },
  accepted: [
    {
      finding: finding('RLS005', 'table "public.tag"', 'error'),
      by: 'allow-list',
      reason: 'For now.',
      expires: '2027-01-31',
    },
  ],
  belowMinimum: 2,
  failOn: 'error',
  notes: ['The allow list accepts RLS004 of table "public.gone", which nothing matches: remove it.'],
  roles: [],
  memberships: [],
  ...rest,
});

const evil = () =>
  report({
    database: EVIL,
    role: EVIL,
    findings: [
      finding('RLS004', `table "${EVIL}"`, 'critical'),
      finding('RLS072', `table "${EVIL}"`, 'warning'),
    ],
    tables: [
      table(EVIL, {
        policies: [
          {
            name: EVIL,
            command: 'ALL',
            permissive: true,
            roles: [EVIL],
            using: `(body = '${EVIL}')`,
            withCheck: null,
          } as unknown as ReportedTable['policies'][number],
        ],
      }),
    ],
    accepted: [{ finding: finding('RLS005', `table "${EVIL}"`, 'error'), by: 'allow-list', reason: EVIL }],
    notes: [EVIL],
  });

const write = (format: ReportFormat, of = report(), view: Partial<ReportView> = {}) =>
  REPORT_FORMATS[format](of, { colors: false, verbose: true, place: 'src/data-source.ts', ...view });

const ALL = Object.keys(REPORT_FORMATS) as ReportFormat[];

describe('every format', () => {
  it.each(ALL)('%s names each finding, each skipped rule with its reason, and what is accepted', (format) => {
    const text = write(format).replaceAll('\\', '').replaceAll('&quot;', '"');
    for (const part of ['RLS004', 'table "public.note"', 'view "public.all"', 'FIX']) {
      expect(text).toContain(part);
    }
    expect(text).toContain('RLS080');
    expect(text).toContain('No entities were given.');
    expect(text).toContain('For now.');
    expect(text).toContain('public.gone');
  });

  it.each(ALL)('%s ends with a line break', (format) => {
    expect(write(format)).toMatch(/[^\n]\n$/);
  });
});

describe('text', () => {
  it('groups findings by tier, the worst first, under each other', () => {
    expect(write('text', report(), { verbose: false })).toBe(`Role "app" on database "shop" (PostgreSQL 18.1)

Tenant-scoped tables:
  Note (public.note): no policies
  Note (public.tag):  no policies

Found 3 issue(s):

Isolation is off
  critical  RLS004 title table "public.note"
            Message of table "public.note".
            Fix: FIX
                 table "public.note";

Side doors around policies
  error     RLS020 title view "public.all"
            Message of view "public.all".
            Fix: FIX
                 view "public.all";

Performance that turns into outages
  warning   RLS072 title table "public.tag"
            Message of table "public.tag".
            Fix: FIX
                 table "public.tag";

Skipped RLS080: No entities were given.
Accepted 1 finding(s).
Not shown: 2 finding(s) below the minimum severity.
The allow list accepts RLS004 of table "public.gone", which nothing matches: remove it.

1 critical, 1 error, 1 warning, 0 info; 4 rule(s) ran, 1 skipped; 2 table(s).
`);
  });

  it('loses no finding, whatever rule it is of', () => {
    expect(write('text', report({ findings: [finding('ZZZ001', 'table "x"', 'error')] }))).toContain(
      'Other findings\n  error     ZZZ001',
    );
  });

  it('lets no name move the cursor, change colours, turn text around or begin a line', () => {
    for (const colors of [true, false]) {
      const text = write('text', evil(), { colors });
      const plain = text.replaceAll(/\p{Cc}\[(?:0|1|2|31|32|33)m/gu, (code) => (colors ? '' : code));
      expect(plain).not.toMatch(/[^\n\P{Cc}]|\p{Bidi_Control}/u);
      expect(plain).toContain('\\u{1b}[31m');
    }
    expect(write('text', evil())).not.toMatch(/^\s*::/m);
  });
});

describe('json', () => {
  it('has these keys, and ok is what the exit code says', () => {
    const parsed = JSON.parse(write('json')) as Record<string, unknown>;
    expect(Object.keys(parsed)).toEqual([
      'ok',
      'database',
      'serverVersion',
      'role',
      'findings',
      'tables',
      'rules',
      'skipped',
      'counts',
      'accepted',
      'belowMinimum',
      'failOn',
      'notes',
      'roles',
      'memberships',
    ]);
    expect(parsed.ok).toBe(false);
    const ok = (rest: Partial<JudgedReport>) =>
      (JSON.parse(write('json', report(rest))) as { ok: boolean }).ok;
    const warning = finding('RLS072', 'table "x"', 'warning');
    expect(ok({ findings: [warning] })).toBe(true);
    expect(ok({ findings: [warning], failOn: 'warning' })).toBe(false);
  });

  it('gives every name back as it is', () => {
    const { role, findings } = JSON.parse(write('json', evil())) as JudgedReport;
    expect([role, findings[0]!.object]).toEqual([EVIL, `table "${EVIL}"`]);
  });
});

describe('github', () => {
  it('is one command to a finding, and errors are what fails', () => {
    const lines = write('github').trimEnd().split('\n');
    expect(lines.map((line) => /^::(\w+) /.exec(line)?.[1])).toEqual([
      'error',
      'error',
      'warning',
      'notice',
      'notice',
      'notice',
      'warning',
    ]);
    expect(lines[0]).toBe(
      '::error title=RLS004 title::table "public.note": Message of table "public.note".%0AFix: FIX%0Atable "public.note";',
    );
    expect(write('github', report({ failOn: 'critical' }))).toContain('::warning title=RLS020');
  });

  it('lets no name begin a command of its own', () => {
    const lines = write('github', evil())
      .trimEnd()
      .split(/\r\n|\r|\n/);
    // Two findings, a skipped rule, an accepted finding, what is hidden, a stale entry.
    expect(lines).toHaveLength(6);
    for (const line of lines) expect(line).toMatch(/^::(?:error|warning|notice) title=[^:]*::/);
    expect(lines[0]).toContain('%250A');
  });
});

describe('sarif', () => {
  interface Log {
    version: string;
    runs: {
      tool: { driver: { name: string; rules: Record<string, unknown>[] } };
      invocations: {
        executionSuccessful: boolean;
        toolExecutionNotifications: { message: { text: string }; associatedRule?: { id: string } }[];
      }[];
      results: {
        ruleId: string;
        level: string;
        message: { text: string };
        locations: {
          physicalLocation: { artifactLocation: { uri: string }; region: { startLine: number } };
          logicalLocations: { fullyQualifiedName: string; kind: string }[];
        }[];
        partialFingerprints: { primaryLocationLineHash: string };
      }[];
    }[];
  }
  const log = (of = report()) => JSON.parse(write('sarif', of)) as Log;

  it('has what GitHub asks of each rule and each result', () => {
    const { version, runs } = log();
    expect(version).toBe('2.1.0');
    const [run] = runs;
    const rules = new Map(run!.tool.driver.rules.map((one) => [one.id, one]));
    for (const one of rules.values()) {
      expect(one).toMatchObject({
        shortDescription: { text: expect.stringMatching(/./) },
        fullDescription: { text: expect.stringMatching(/./) },
        help: { text: expect.stringMatching(/./) },
        properties: { 'security-severity': expect.stringMatching(/^\d\.\d$/), tags: ['security'] },
      });
    }
    for (const result of run!.results) {
      expect(rules.has(result.ruleId)).toBe(true);
      expect(result.message.text).not.toBe('');
      expect(result.locations[0]!.physicalLocation).toMatchObject({
        artifactLocation: { uri: 'src/data-source.ts' },
        region: { startLine: 1 },
      });
    }
    expect(run!.results.map(({ level }) => level)).toEqual(['error', 'error', 'warning']);
    expect(run!.results[1]!.locations[0]!.logicalLocations).toEqual([
      { fullyQualifiedName: 'view "public.all"', kind: 'view' },
    ]);
  });

  it('tells findings of one rule apart, and knows them again when they are worded anew', () => {
    const hashes = (findings: Finding[]) =>
      log(report({ findings })).runs[0]!.results.map(
        ({ partialFingerprints }) => partialFingerprints.primaryLocationLineHash,
      );
    const [one, two] = [finding('RLS004', 'table "a"', 'error'), finding('RLS004', 'table "b"', 'error')];
    expect(new Set(hashes([one, two])).size).toBe(2);
    expect(hashes([{ ...one, message: 'Anew.', fix: '' }])).toEqual(hashes([one]));
  });

  it('says what was skipped and accepted in notifications', () => {
    const [{ executionSuccessful, toolExecutionNotifications }] = log().runs[0]!.invocations as [
      Log['runs'][0]['invocations'][0],
    ];
    expect(executionSuccessful).toBe(true);
    expect(toolExecutionNotifications).toContainEqual({
      level: 'note',
      message: { text: 'RLS080 policy-drift was skipped, which is no pass: No entities were given.' },
      associatedRule: { id: 'RLS080' },
    });
    expect(toolExecutionNotifications.map(({ associatedRule }) => associatedRule?.id)).toContain('RLS005');
  });

  it('gives every name back as it is', () => {
    expect(log(evil()).runs[0]!.results[0]!.locations[0]!.logicalLocations[0]!.fullyQualifiedName).toBe(
      `table "${EVIL}"`,
    );
  });
});

describe('junit', () => {
  /** Every element with its attributes and text. Strict: it throws for whatever XML 1.0 calls not well-formed here. */
  const elements = (xml: string) => {
    const [declaration, body] = xml.split('?>\n', 2);
    expect(declaration).toBe('<?xml version="1.0" encoding="UTF-8"');
    expect(body).not.toMatch(/[^\n\P{Cc}]|[\uFFFE\uFFFF]/u);
    const text = (raw: string) => {
      expect(raw).not.toMatch(/[<>]|&(?!(?:amp|lt|gt|quot|#\d+);)/);
      const names: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"' };
      return raw.replaceAll(/&(?:#(\d+)|(\w+));/g, (_entity, code?: string, name?: string) =>
        code === undefined ? names[name!]! : String.fromCodePoint(Number(code)),
      );
    };
    const found: { tag: string; attributes: Record<string, string>; text: string }[] = [];
    const open: string[] = [];
    let roots = 0;
    for (const [, before, markup] of body!.matchAll(/([^<]*)(?:<([^<]*?)>(?=\s*<|[^<]|$)|$)/g)) {
      if (open.length === 0) expect(before!.trim()).toBe('');
      else if (before !== '') found.findLast(({ tag }) => tag === open.at(-1))!.text += text(before!);
      if (markup === undefined) continue;
      const [, close, tag, list, empty] = /^(\/?)([\w-]+)((?: [\w-]+="[^"]*")*)(\/?)$/.exec(markup)!;
      if (close) expect(open.pop()).toBe(tag);
      else {
        if (open.length === 0) roots++;
        const pairs = [...list!.matchAll(/ ([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [
          key!,
          text(value!),
        ]);
        expect(new Set(pairs.map(([key]) => key)).size).toBe(pairs.length);
        found.push({ tag: tag!, attributes: Object.fromEntries(pairs) as Record<string, string>, text: '' });
        if (!empty) open.push(tag!);
      }
    }
    expect({ open, roots }).toEqual({ open: [], roots: 1 });
    return found;
  };
  const cases = (xml: string) =>
    [...xml.matchAll(/<testcase classname="(\w+)[^"]*" name="([^"]*)"(?:\/>|>(.*?)<\/testcase>)/g)].map(
      ([, id, name, body]) => [id, name!.replaceAll('&quot;', '"'), /^<([\w-]+)/.exec(body ?? '')?.[1]],
    );

  it('has one case for each rule and table, and one for each other object that was found', () => {
    expect(cases(write('junit'))).toEqual([
      ['RLS004', 'table "public.note"', 'failure'],
      ['RLS004', 'table "public.tag"', undefined],
      ['RLS005', 'table "public.tag"', 'skipped'],
      ['RLS005', 'table "public.note"', undefined],
      ['RLS020', 'view "public.all"', 'failure'],
      ['RLS020', 'table "public.note"', undefined],
      ['RLS020', 'table "public.tag"', undefined],
      ['RLS072', 'table "public.tag"', 'system-out'],
      ['RLS072', 'table "public.note"', undefined],
      ['RLS080', 'policy-drift', 'skipped'],
    ]);
    expect(write('junit')).toContain(
      '<testsuites name="check-rls" tests="10" failures="2" errors="0" skipped="2">',
    );
  });

  it('counts a finding about a policy or column of a table as one about the table', () => {
    const findings = [finding('RLS004', 'policy "p" on table "public.note"', 'error')];
    expect(cases(write('junit', report({ findings }))).filter(([id]) => id === 'RLS004')).toEqual([
      ['RLS004', 'policy "p" on table "public.note"', 'failure'],
      ['RLS004', 'table "public.tag"', undefined],
    ]);
  });

  it('loses no finding, whatever rule it is of', () => {
    const findings = [finding('ZZZ001', 'table "x"', 'error')];
    expect(cases(write('junit', report({ findings })))).toContainEqual(['ZZZ001', 'table "x"', 'failure']);
  });

  it('is well-formed, whatever the names are', () => {
    const found = elements(write('junit', evil()));
    const names = found.filter(({ tag }) => tag === 'testcase').map(({ attributes }) => attributes.name);
    const readable = EVIL.replaceAll('\u0007', '\uFFFD').replaceAll('\u001B', '\uFFFD');
    expect(names).toContain(`table "${readable}"`);
    expect([...new Set(found.map(({ tag }) => tag))].sort()).toEqual([
      'failure',
      'skipped',
      'system-out',
      'testcase',
      'testsuite',
      'testsuites',
    ]);
    expect(found.find(({ tag }) => tag === 'failure')!.text).toContain(`FIX\ntable "${readable}";`);
  });
});

describe('markdown', () => {
  it('lets no name be markup, HTML, a mention or a line of its own', () => {
    const text = write('markdown', evil());
    const prose = text.replaceAll(/^(`{3,})sql\n[^]*?\n\1$/gm, '');
    expect(prose).not.toMatch(/<script|<!--|[^\\]\[x|@everyone/);
    expect(prose).not.toMatch(/^(?:::|<)/m);
    expect(prose).toContain('&lt;script&gt;');
  });

  it('fences SQL so that no SQL ends its fence', () => {
    const fix = 'SELECT 1;\n````\n<script>';
    const text = write(
      'markdown',
      report({ findings: [{ ...finding('RLS004', 'table "x"', 'error'), fix }] }),
    );
    expect(text).toContain(`\n\`\`\`\`\`sql\n${fix}\n\`\`\`\`\`\n`);
  });

  it('groups by tier and counts', () => {
    const text = write('markdown');
    expect(text).toMatch(/^## check-rls: 1 critical, 1 error, 1 warning, 0 info\n/);
    expect(text.match(/^### .*$/gm)).toEqual([
      '### Isolation is off',
      '### Side doors around policies',
      '### Performance that turns into outages',
      '### Not checked, accepted, stale',
    ]);
  });
});
