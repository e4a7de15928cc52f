import type { AuditReport } from './audit.js';
import { baselineText, parseBaseline } from './baseline.js';
import type { AuditConfiguration } from './configuration.js';
import type { Finding, Severity } from './finding.js';
import { fails, judgeReport } from './report.js';

const finding = (ruleId: string, object: string, severity: Severity): Finding => ({
  ruleId,
  object,
  severity,
  title: 'title',
  message: 'Message.',
  fix: 'FIX;',
});
const note = finding('RLS004', 'table "public.note"', 'critical');
const view = finding('RLS020', 'view "public.all"', 'error');
const index = finding('RLS072', 'table "public.note"', 'warning');
const rule = (id: string, severity: Severity) => ({ id, severity, title: 'title', tier: 0 });
const report = {
  findings: [note, view, index],
  rules: [rule('RLS004', 'critical'), rule('RLS020', 'error'), rule('RLS072', 'warning')],
  skipped: [{ ...rule('RLS076', 'info'), reason: 'It is off.' }],
} as unknown as AuditReport;

const configuration = (rest: Partial<AuditConfiguration>): AuditConfiguration => ({
  severities: new Map(),
  allow: [],
  ...rest,
});
const accept = { rule: 'RLS020', object: 'view *', reason: 'Support needs it.' };

describe('judgeReport', () => {
  it('changes nothing where nothing is decided', () => {
    const judged = judgeReport(report);
    expect(judged.findings).toEqual([note, view, index]);
    expect(judged).toMatchObject({ accepted: [], belowMinimum: 0, failOn: 'error', notes: [] });
    expect(judged.findings.filter((one) => fails(one, judged))).toEqual([note, view]);
  });

  it('gives findings the severity of the configuration, and the worst come first', () => {
    const severities = new Map([
      ['RLS004', 'info'],
      ['RLS072', 'critical'],
    ] as const);
    const judged = judgeReport(report, { configuration: configuration({ severities }) });
    expect(judged.findings.map(({ ruleId, severity }) => `${ruleId} ${severity}`)).toEqual([
      'RLS072 critical',
      'RLS020 error',
      'RLS004 info',
    ]);
    expect(judged.rules.map(({ severity }) => severity)).toEqual(['info', 'error', 'critical']);
  });

  it('lists a rule that is off as skipped, and its findings not at all', () => {
    const severities = new Map([['RLS020', 'off']] as const);
    const judged = judgeReport(report, { configuration: configuration({ severities }) });
    expect(judged.findings).toEqual([note, index]);
    expect(judged.rules.map(({ id }) => id)).toEqual(['RLS004', 'RLS072']);
    expect(judged.skipped.map(({ id, reason }) => `${id} ${reason}`)).toEqual([
      'RLS020 The configuration file turns it off.',
      'RLS076 It is off.',
    ]);
  });

  it('keeps what the allow list accepts apart, with its reason', () => {
    const judged = judgeReport(report, { configuration: configuration({ allow: [accept] }) });
    expect(judged.findings).toEqual([note, index]);
    expect(judged.accepted).toEqual([
      { finding: view, by: 'allow-list', reason: 'Support needs it.', expires: undefined },
    ]);
  });

  it('a finding comes back when its entry has expired, and says so, baseline or not', () => {
    const allow = [{ ...accept, expires: '2026-06-30' }];
    const judge = (today: string) =>
      judgeReport(report, { configuration: configuration({ allow }), baseline: [view], today });
    expect(judge('2026-06-30').findings).toEqual([note, index]);
    const back = judge('2026-07-01').findings.find(({ ruleId }) => ruleId === 'RLS020');
    expect(back?.message).toBe(
      'Message. The allow list accepted it until 2026-06-30 (Support needs it.): that entry has expired.',
    );
  });

  it('another entry that holds still accepts it', () => {
    const allow = [
      { ...accept, expires: '2026-06-30' },
      { ...accept, reason: 'Looked at again.' },
    ];
    const judged = judgeReport(report, { configuration: configuration({ allow }), today: '2026-07-01' });
    expect(judged.accepted).toMatchObject([{ reason: 'Looked at again.' }]);
  });

  it('reports entries that match nothing, unless their rule did not run', () => {
    const allow = [
      { ...accept, object: 'view "public.gone"' },
      { rule: 'RLS076', object: '*', reason: 'It is off here.' },
    ];
    const baseline = [finding('RLS004', 'table "public.gone"', 'error')];
    expect(judgeReport(report, { configuration: configuration({ allow }), baseline }).notes).toEqual([
      'The allow list accepts RLS020 of view "public.gone", which nothing matches: remove it.',
      'The baseline has RLS004 of table "public.gone", which is no longer found: --update-baseline removes it.',
    ]);
  });

  it('what the baseline has does not count, until it gets worse', () => {
    const before = (severity: Severity) => judgeReport(report, { baseline: [{ ...note, severity }] });
    expect(before('critical').findings).toEqual([view, index]);
    expect(before('critical').accepted).toEqual([{ finding: note, by: 'baseline' }]);
    expect(before('warning').findings).toEqual([note, view, index]);
  });

  it('counts what is below the minimum severity', () => {
    const judged = judgeReport(report, { minSeverity: 'error' });
    expect(judged.findings).toEqual([note, view]);
    expect(judged.belowMinimum).toBe(1);
  });

  it.each([
    ['critical', 1],
    ['error', 2],
    ['warning', 3],
    ['info', 3],
  ] as const)('failing on %s, %i of three findings fail', (failOn, count) => {
    const judged = judgeReport(report, { failOn });
    expect(judged.findings.filter((one) => fails(one, judged))).toHaveLength(count);
  });
});

describe('a baseline', () => {
  it('has each rule and object once, with the worst severity, in an order of its own', () => {
    const milder = { ...note, severity: 'error' as const };
    const text = baselineText([view, milder, note]);
    expect(parseBaseline(text, 'baseline.json')).toEqual([
      { ruleId: 'RLS004', object: 'table "public.note"', severity: 'critical' },
      { ruleId: 'RLS020', object: 'view "public.all"', severity: 'error' },
    ]);
    expect(baselineText([note, milder, view])).toBe(text);
  });

  it.each([
    ['no JSON', '{'],
    ['of another version', '{ "version": 2, "findings": [] }'],
    ['without findings', '{ "version": 1 }'],
    ['with half an entry', '{ "version": 1, "findings": [{ "ruleId": "RLS004" }] }'],
    ['with nothing for an entry', '{ "version": 1, "findings": [null] }'],
    [
      'with an unknown severity',
      '{ "version": 1, "findings": [{ "ruleId": "RLS004", "object": "x", "severity": "bad" }] }',
    ],
  ])('is refused if it is %s', (_what, text) => {
    expect(() => parseBaseline(text, 'baseline.json')).toThrow(/baseline\.json is no/);
  });
});
