import { fails, TIERS, type Finding, type JudgedReport } from '../audit/index.js';
import { acceptedBecause, remarksOf } from './check-rls.remarks.js';

type ReportedRule = JudgedReport['rules'][number];
type Accepted = JudgedReport['accepted'][number];

/** One test case: a rule and what it was about. */
interface TestCase {
  readonly name: string;
  readonly rule: ReportedRule;
  /** Elements inside of it; none if it passed. */
  readonly body: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
}

/**
 * JUnit XML: a suite for each tier, a case for each rule and table, and one for each other object with a finding. What does
 * not fail the audit is a passed case that says what was found; what was skipped or accepted is a skipped one.
 */
export function junitReport(report: JudgedReport): string {
  const cases = [
    ...[...report.rules, ...otherRules(report)].flatMap((rule) => casesOf(rule, report)),
    ...report.skipped.map((rule): TestCase => ({
      name: rule.title,
      rule,
      body: skippedElement(rule.reason),
      outcome: 'skipped',
    })),
  ];
  const suites = [...TIERS, 'Other findings'].map((name, tier) => {
    const own = cases.filter(({ rule }) => rule.tier === tier);
    return own.length === 0 ? '' : suite(name, own);
  });
  const remarks = remarksOf(report)
    .filter(({ isWarning }) => isWarning)
    .map(({ text }) => `${text}\n`);
  const output = remarks.length === 0 ? '' : suite('Decisions', [], remarks.join(''));
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="check-rls"${totals(cases)}>\n${suites.join('')}${output}</testsuites>\n`;
}

/** Those of findings that no listed rule is of: none is lost. */
function otherRules({ rules, findings }: JudgedReport): ReportedRule[] {
  const known = new Set(rules.map(({ id }) => id));
  const others = findings.filter(({ ruleId }) => !known.has(ruleId));
  const named = others.map(({ ruleId: id, title, severity }) => ({
    id,
    title,
    severity,
    tier: TIERS.length,
  }));
  return [...new Map(named.map((rule) => [rule.id, rule])).values()];
}

function casesOf(rule: ReportedRule, report: JudgedReport): TestCase[] {
  const findings = report.findings.filter(({ ruleId }) => ruleId === rule.id);
  const accepted = report.accepted.filter(({ finding }) => finding.ruleId === rule.id);
  const objects = [...new Set([...findings, ...accepted.map(({ finding }) => finding)].map(objectOf))];
  const concerned = new Set(objects.map(tableOf));
  const clean = report.tables.map(({ table }) => table).filter((table) => !concerned.has(table));
  const found = objects.map((object) =>
    objectCase(
      rule,
      object,
      findings.filter((one) => one.object === object),
      accepted.filter(({ finding }) => finding.object === object),
      report,
    ),
  );
  const passed = [...new Set(clean)].map((table): TestCase => ({
    name: `table "${table}"`,
    rule,
    body: '',
    outcome: 'passed',
  }));
  const cases = [...found, ...passed];
  return cases.length > 0 ? cases : [{ name: rule.title, rule, body: '', outcome: 'passed' }];
}

function objectOf({ object }: Finding): string {
  return object;
}

/** The table of an object that is one or belongs to one. */
function tableOf(object: string): string | undefined {
  return /(?:^| (?:on|of) )table "([^]*)"$/.exec(object)?.[1];
}

function objectCase(
  rule: ReportedRule,
  object: string,
  findings: readonly Finding[],
  accepted: readonly Accepted[],
  report: JudgedReport,
): TestCase {
  const failing = findings.filter((finding) => fails(finding, report));
  const [worst] = failing;
  const calm = findings.filter((finding) => !failing.includes(finding));
  const output = calm.length === 0 ? '' : `<system-out>${xml(calm.map(findingText).join('\n'))}</system-out>`;
  if (worst) {
    const failure = `<failure type="${worst.severity}" message="${xml(worst.message)}">${xml(failing.map(findingText).join('\n'))}</failure>`;
    return { name: object, rule, body: failure + output, outcome: 'failed' };
  }
  const [first] = accepted;
  return first && calm.length === 0
    ? { name: object, rule, body: skippedElement(acceptedBecause(first)), outcome: 'skipped' }
    : { name: object, rule, body: output, outcome: 'passed' };
}

function findingText({ severity, message, fix }: Finding): string {
  return `${severity}: ${message}\nFix: ${fix}`;
}

function skippedElement(reason: string): string {
  return `<skipped message="${xml(reason)}"/>`;
}

function suite(name: string, cases: readonly TestCase[], output = ''): string {
  const elements = cases.map(({ name: own, rule, body }) => {
    const head = `<testcase classname="${xml(`${rule.id} ${rule.title}`)}" name="${xml(own)}"`;
    return body === '' ? `    ${head}/>\n` : `    ${head}>${body}</testcase>\n`;
  });
  const out = output === '' ? '' : `    <system-out>${xml(output)}</system-out>\n`;
  return `  <testsuite name="${xml(name)}"${totals(cases)}>\n${elements.join('')}${out}  </testsuite>\n`;
}

function totals(cases: readonly TestCase[]): string {
  const count = (outcome: TestCase['outcome']) => cases.filter((one) => one.outcome === outcome).length;
  return ` tests="${cases.length}" failures="${count('failed')}" errors="0" skipped="${count('skipped')}"`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
  '\r': '&#13;',
  '\t': '&#9;',
};

/** For attributes and content. XML 1.0 has no way to write other control characters and lone surrogates at all. */
function xml(text: string): string {
  return text.toWellFormed().replaceAll(/[&<>"\p{Cc}\uFFFE\uFFFF]/gu, (sign) => ENTITIES[sign] ?? '\uFFFD');
}
